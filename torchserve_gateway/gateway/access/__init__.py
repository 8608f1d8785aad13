"""Access control: API keys, rate limits, allowed hosts and origins. Imported by the gateway's application."""

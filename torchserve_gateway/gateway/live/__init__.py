"""Live view: the last 15 minutes of the gateway's own counters, as server-sent events."""

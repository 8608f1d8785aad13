"""KServe's V1 and Open Inference protocols. Imported by the gateway's application."""

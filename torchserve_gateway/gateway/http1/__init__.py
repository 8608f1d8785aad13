"""The server side of HTTP/1.1: message framing, limits on heads, refusals. Imported by the entry point."""

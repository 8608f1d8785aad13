"""HTTP/1.1 as this gateway reads it: framing, limits on the head, refusals. Imported by the server alone."""

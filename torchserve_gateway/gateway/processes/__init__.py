"""Several processes that are one gateway: one port, one admission, one metrics page."""

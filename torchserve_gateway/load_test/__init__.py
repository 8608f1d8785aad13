"""Clients that load the gateway and check every answer."""

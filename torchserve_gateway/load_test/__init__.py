"""Clients that put load on the gateway and check every answer."""

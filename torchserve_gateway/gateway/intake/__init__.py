"""Reads and checks request bodies and headers. Imported by routes."""

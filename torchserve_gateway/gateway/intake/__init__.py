"""Reads and checks what a client sent. Imported by routes."""

"""Checkpoint + handler + labels -> model archive."""

"""Deploys and rolls back versions; the commands import it, the gateway does not."""

"""Failures of taking over a TorchServe."""


class MigrationError(Exception):
    """Nothing was written; the message says why and what would help."""

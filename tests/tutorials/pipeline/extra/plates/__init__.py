"""The sub-package of the archive."""

"""The version of package, gateway, client and images: its only source."""

__version__ = "0.1.0"

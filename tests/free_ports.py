"""Ports without a listener, so that tests run beside a running stack."""

from tools.free_ports import free_ports

__all__ = ["free_ports"]

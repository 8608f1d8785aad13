"""Checks before a start, so that a start that must fail begins nothing."""

import shutil
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from torchserve_gateway.settings.local_stack import StackSettings


class PreflightError(Exception):
    """The stack cannot start here; the message says what to change."""


def check_before_start(settings: StackSettings) -> None:
    """Checks the disk and that every port is free.

    Raises:
        PreflightError: the first check that fails.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    free_mb = shutil.disk_usage(settings.state_dir).free // 1_000_000
    if free_mb < settings.min_free_disk_mb:
        raise PreflightError(
            f"{settings.state_dir} has {free_mb} MB of disk left, at least {settings.min_free_disk_mb} MB "
            "are needed (min_free_disk_mb)"
        )
    for setting, host, port in _addresses(settings):
        if not _is_free(host, port):
            raise PreflightError(
                f"port {port} on {host} is in use ({setting}); stop the process that uses it, "
                f"or choose another port with {setting}=..."
            )


def _addresses(settings: StackSettings) -> Iterator[tuple[str, str, int]]:
    torchserve = settings.torchserve
    for name in ("inference_url", "management_url", "metrics_url"):
        url = urlsplit(getattr(torchserve, name))
        yield f"torchserve.{name}", url.hostname or "", url.port or 0
    host = urlsplit(torchserve.inference_url).hostname or ""
    yield "torchserve.grpc_inference_port", host, torchserve.grpc_inference_port
    host = urlsplit(torchserve.management_url).hostname or ""
    yield "torchserve.grpc_management_port", host, torchserve.grpc_management_port
    yield "gateway.port", settings.gateway.host, settings.gateway.port


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: connections of a stopped server that still linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True

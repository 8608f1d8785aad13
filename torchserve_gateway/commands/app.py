"""`make run_app`: the gateway in the foreground."""

from collections.abc import Sequence

from torchserve_gateway.gateway.server import serve
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.project import ProjectSettings


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("gateway", ProjectSettings, serve, argv=argv)

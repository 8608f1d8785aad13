"""`make download_weights`: downloads the checkpoint of the configured model into weights/."""

from collections.abc import Sequence

from torchserve_gateway.settings.archive import ArchiveSettings, BuildSettings
from torchserve_gateway.settings.command import run
from torchserve_gateway.weights import WeightsError, fetch_weights


def download_weights(settings: ArchiveSettings) -> None:
    """Fetches the checkpoint unless it exists, and prints its path."""
    print(fetch_weights(settings.model.checkpoint))


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("upload", BuildSettings, download_weights, (WeightsError,), argv)

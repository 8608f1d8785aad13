"""`make download_weights`: the configured model's checkpoint into weights/."""

from collections.abc import Sequence

from torchserve_gateway.settings.command import run
from torchserve_gateway.weights import WeightsError, fetch_weights
from ts_serialize.archive import ArchiveSettings


def download_weights(settings: ArchiveSettings) -> None:
    """Fetches the checkpoint and says where it is."""
    print(fetch_weights(settings.model.weights))


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("archive", ArchiveSettings, download_weights, (WeightsError,), argv)

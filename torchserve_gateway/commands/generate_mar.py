"""`make generate_mar`: the configured model's archive into model_mars/, its checkpoint fetched first."""

from collections.abc import Sequence
from pathlib import Path

from torchserve_gateway.settings.command import run
from torchserve_gateway.weights import WeightsError, fetch_weights
from ts_serialize.archive import ArchiveError, ArchiveSettings, build_archive


def fetch_and_build(settings: ArchiveSettings) -> Path:
    """Makes sure that checkpoint and archive are there.

    Raises:
        ArchiveError, WeightsError: no archive was written.
    """
    fetch_weights(settings.model.weights)
    return build_archive(settings)


def generate_mar(settings: ArchiveSettings) -> None:
    """Builds the archive and prints its path."""
    print(fetch_and_build(settings))


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("archive", ArchiveSettings, generate_mar, (ArchiveError, WeightsError), argv)

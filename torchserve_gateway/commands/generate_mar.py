"""`make generate_mar`: downloads the checkpoint, and builds the archive in model_mars/."""

from collections.abc import Sequence

from torchserve_gateway.settings.archive import ArchiveSettings, BuildSettings
from torchserve_gateway.settings.command import run
from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.weights import WeightsError, fetch_weights
from ts_serialize.archive import ArchiveError, build_archive


def generate_mar(settings: ArchiveSettings) -> None:
    """Builds the archive and prints its path."""
    if settings.model.weights:
        fetch_weights(settings.model.weights)
    with waiting(f"the archive of {settings.model.name} {settings.model.version} to be built"):
        built = build_archive(settings)
    print(built)


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("upload", BuildSettings, generate_mar, (ArchiveError, WeightsError), argv)

"""`make download_weights`: downloads the checkpoint of the configured model into weights/."""

import sys

from torchserve_gateway.settings.archive import ArchiveSettings, BuildSettings
from torchserve_gateway.settings.command import run
from torchserve_gateway.weights import WeightsError, fetch_weights


def download_weights(settings: ArchiveSettings) -> None:
    """Downloads the checkpoint and prints its path."""
    print(fetch_weights(settings.model.weights))


if __name__ == "__main__":
    sys.exit(run("upload", BuildSettings, download_weights, (WeightsError,)))

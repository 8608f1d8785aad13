"""`make download_weights`: the configured model's checkpoint into weights/."""

import sys

from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.settings.command import run
from torchserve_gateway.weights import WeightsError, fetch_weights


def download_weights(settings: ArchiveSettings) -> None:
    """Fetches the checkpoint and says where it is."""
    print(fetch_weights(settings.model.weights))


if __name__ == "__main__":
    sys.exit(run("archive", ArchiveSettings, download_weights, (WeightsError,)))

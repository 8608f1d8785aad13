"""`make generate_mar`: the configured model's archive into model_mars/."""

import sys

from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.settings.command import run
from ts_serialize.archive import ArchiveError, build_archive


def generate_mar(settings: ArchiveSettings) -> None:
    """Builds the archive and says where it is."""
    print(build_archive(settings))


if __name__ == "__main__":
    sys.exit(run("archive", ArchiveSettings, generate_mar, (ArchiveError,)))

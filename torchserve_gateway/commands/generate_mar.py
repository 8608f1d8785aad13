"""`make generate_mar`: builds the archive of the configured model in model_mars/."""

import sys

from torchserve_gateway.settings.archive import ArchiveSettings, BuildSettings
from torchserve_gateway.settings.command import run
from ts_serialize.archive import ArchiveError, build_archive


def generate_mar(settings: ArchiveSettings) -> None:
    """Builds the archive and prints its path."""
    print(build_archive(settings))


if __name__ == "__main__":
    sys.exit(run("upload", BuildSettings, generate_mar, (ArchiveError,)))

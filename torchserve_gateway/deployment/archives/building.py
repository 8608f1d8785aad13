"""Builds the archive of the configured model: weights downloaded, then packed as `make generate_mar` does."""

from pathlib import Path

from torchserve_gateway.deployment.errors import ArchiveBuildError
from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.weights import WeightsError, fetch_weights


def built_archive(settings: ArchiveSettings) -> Path:
    """Builds the archive, unless an identical file exists.

    Raises:
        ArchiveBuildError: missing weights, parts that do not fit, or no torch on this machine.
    """
    try:
        # Imports torch, which the deployer's container lacks and deploys of named archives do not need.
        from ts_serialize.archive import ArchiveError, build_archive  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise ArchiveBuildError(
            f"an archive cannot be built here, since {exc.name} is not installed; name an archive: "
            "archive_source=model_mars, archive_source=file_browser or archive_source.url=..."
        ) from exc
    try:
        if settings.model.weights:
            fetch_weights(settings.model.weights)
        with waiting(f"the archive of {settings.model.name} {settings.model.version} to be built"):
            return build_archive(settings)
    except (WeightsError, ArchiveError) as exc:
        raise ArchiveBuildError(str(exc)) from exc

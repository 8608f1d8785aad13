"""`make upload_model`: builds a version of a model, deploys it and retires the old versions.

Exit codes: 0 it serves; 1 it does not, and the version that served before still does; 2 bad configuration.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from torchserve_gateway.deployment.archives import Archive, local_archive, remote_archive
from torchserve_gateway.deployment.deploy import deploy
from torchserve_gateway.deployment.errors import DeploymentError
from torchserve_gateway.record.record import DeployedVersion, DeploymentRecord
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.deployment import UploadSettings
from torchserve_gateway.settings.project import ProjectSettings


def upload_model(settings: UploadSettings) -> None:
    """Deploys and prints which version serves now.

    Raises:
        DeploymentError: it was not deployed.
    """
    if settings.builds_archive:
        _build(settings)
    params = settings.request_params
    with DeploymentRecord(settings.torchserve.deployments_dir).lock(), _archive(settings) as archive:
        wanted = DeployedVersion(
            version=settings.model.version,
            source=archive.source,
            archive=archive.name,
            sha256=archive.sha256,
            initial_workers=params.initial_workers or len(os.sched_getaffinity(0)),
            **params.model_dump(exclude={"url", "initial_workers"}),
        )
        print(deploy(settings, settings.served_model.model_name, wanted, archive))


def _build(settings: UploadSettings) -> None:
    """Builds the archive from the checkpoint, which is fetched first.

    Raises:
        DeploymentError: no archive was written.
    """
    # Here, since torch takes seconds to import and the gateway's image is without it.
    try:
        from torchserve_gateway.commands.generate_mar import fetch_and_build  # noqa: PLC0415
        from torchserve_gateway.weights import WeightsError  # noqa: PLC0415
        from ts_serialize.archive import ArchiveError, ArchiveSettings  # noqa: PLC0415
    except ImportError as exc:
        raise DeploymentError(
            f"building an archive needs the package {exc.name}, extra `archiver`; "
            "archive_source.build=false deploys an archive that is in model_mars/"
        ) from exc
    shared = {name: getattr(settings, name) for name in ProjectSettings.model_fields}
    try:
        fetch_and_build(ArchiveSettings(model_mars=settings.model_mars, force=False, **shared))
    except (ArchiveError, WeightsError) as exc:
        raise DeploymentError(str(exc)) from exc


def _archive(settings: UploadSettings) -> AbstractContextManager[Archive]:
    source, sha256 = settings.request_params.url, settings.archive_source.sha256
    if "://" in source:
        return remote_archive(settings, source, settings.model.version, sha256)
    return nullcontext(local_archive(settings, settings.model_mars / source, settings.model.version, sha256))


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("upload", UploadSettings, upload_model, (DeploymentError,), argv)

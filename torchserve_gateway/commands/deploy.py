"""`make upload_model`: deploys a version of a model through the Management API and retires the old ones.

Exit codes: 0 it serves; 1 it does not, and what served before still does; 2 bad configuration.
"""

import os
import sys
from contextlib import AbstractContextManager, nullcontext

from torchserve_gateway.deployment.archives import Archive, local_archive, remote_archive
from torchserve_gateway.deployment.deploy import deploy
from torchserve_gateway.deployment.errors import DeploymentError
from torchserve_gateway.record.record import DeployedVersion, DeploymentRecord
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.deployment import UploadSettings


def upload_model(settings: UploadSettings) -> None:
    """Deploys and says what serves now.

    Raises:
        DeploymentError: it was not deployed.
    """
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


def _archive(settings: UploadSettings) -> AbstractContextManager[Archive]:
    source, sha256 = settings.request_params.url, settings.archive_source.sha256
    if "://" in source:
        return remote_archive(settings, source, settings.model.version, sha256)
    return nullcontext(local_archive(settings, settings.model_mars / source, settings.model.version, sha256))


if __name__ == "__main__":
    sys.exit(run("upload", UploadSettings, upload_model, (DeploymentError,)))

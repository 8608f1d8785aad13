"""`make upload_model`: deploys a version of a model through the Management API and retires the old ones.

Exit codes: 0 it serves; 1 it does not, and what served before still does; 2 bad configuration.
"""

import os
import sys

from deployment.archives import archive_of, file_name
from deployment.deploy import deploy
from deployment.errors import DeploymentError
from deployment.record import DeployedVersion, DeploymentRecord
from deployment.settings import UploadSettings
from entry_point import run


def upload_model(settings: UploadSettings) -> None:
    """Deploys and says what serves now.

    Raises:
        DeploymentError: it was not deployed.
    """
    params, torchserve = settings.request_params, settings.torchserve
    with (
        DeploymentRecord(torchserve.deployments_dir).lock(),
        archive_of(
            params.url,
            settings.archive_source.sha256,
            settings.model_mars,
            shared_store=torchserve.model_store is not None,
            allowed=settings.allowed_urls,
        ) as archive,
    ):
        wanted = DeployedVersion(
            version=settings.model.version,
            source=params.url,
            archive=file_name(params.url),
            sha256=archive.sha256,
            initial_workers=params.initial_workers or len(os.sched_getaffinity(0)),
            **params.model_dump(exclude={"url", "initial_workers"}),
        )
        print(deploy(settings, settings.served_model.model_name, wanted, archive))


if __name__ == "__main__":
    sys.exit(run("upload", UploadSettings, upload_model, (DeploymentError,)))

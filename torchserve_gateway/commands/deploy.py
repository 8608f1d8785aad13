"""`make upload_model`: deploys a version of a model through the Management API and retires the others.

Exit codes: 0 the version serves; 1 it does not, and the old version still serves; 2 bad configuration.
"""

from collections.abc import Sequence

from torchserve_gateway.commands.migration.archive_overrides import with_archive_settings
from torchserve_gateway.deployment.archives.sources import requested_archive
from torchserve_gateway.deployment.deploy import deploy
from torchserve_gateway.deployment.plan import upload_plan
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeploymentRecord
from torchserve_gateway.settings.command import exit_code, run
from torchserve_gateway.settings.deployment import UploadSettings


def upload_model(settings: UploadSettings) -> None:
    """Deploys the configured version and prints the serving version.

    Raises:
        DeploymentError: the version was not deployed.
    """
    record = DeploymentRecord(settings.torchserve.deployments_dir)
    with record.lock(), requested_archive(settings) as archive:
        print(deploy(settings, record, upload_plan(settings, archive)))


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""

    def deploy_them() -> int:
        overrides = with_archive_settings(argv)
        return run("upload", UploadSettings, upload_model, (DeploymentError,), overrides)

    return exit_code(deploy_them, (DeploymentError,))

"""`make upload_model`: deploys a version of a model through the Management API and retires the others.

Exit codes: 0 the version serves; 1 it does not, and the old version still serves; 2 bad configuration.
"""

import re
from collections.abc import Sequence
from functools import partial

from torchserve_gateway.commands.migration.archive_overrides import with_archive_settings
from torchserve_gateway.deployment.archives.sources import requested_archive
from torchserve_gateway.deployment.deploy import deploy
from torchserve_gateway.deployment.plan import upload_plan
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeploymentRecord
from torchserve_gateway.settings.command import exit_code, run
from torchserve_gateway.settings.deployment import UploadSettings


def upload_model(settings: UploadSettings, *, is_named: bool) -> None:
    """Deploys the configured version and prints the serving version.

    Args:
        settings: the root `config/upload.yaml`.
        is_named: whether the caller gave the version; otherwise it replaces no other version.

    Raises:
        DeploymentError: the version was not deployed.
    """
    record = DeploymentRecord(settings.torchserve.deployments_dir)
    with record.lock():
        if not is_named and (other := _other_version(record, settings)):
            if settings.if_another_serves == "keep":
                print(f"{settings.served.name} {other} serves")
                return
            raise DeploymentError(_refusal(settings, other))
        with requested_archive(settings) as archive:
            print(deploy(settings, record, upload_plan(settings, archive)))


def _other_version(record: DeploymentRecord, settings: UploadSettings) -> str | None:
    """The serving version, unless it is the configured version."""
    model = record.read().models.get(settings.served.name)
    version = model.serving.version if model else None
    return None if version == settings.model.version else version


def _refusal(settings: UploadSettings, serving: str) -> str:
    model, version = settings.model.name, settings.model.version
    return (
        f"nothing was changed: {settings.served.name} {serving} serves, and {version} is only the version in "
        f"the model's file; make upload_model MODEL={model} VERSION={version} deploys it on purpose, or "
        f"torchserve-gateway deploy model={model} model.version='\"{version}\"'"
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""

    def deploy_them() -> int:
        overrides = with_archive_settings(argv)
        is_named = any(re.match(r"\+{0,2}model\.version=", each) for each in overrides)
        run_it = partial(upload_model, is_named=is_named)
        return run("upload", UploadSettings, run_it, (DeploymentError,), overrides)

    return exit_code(deploy_them, (DeploymentError,))

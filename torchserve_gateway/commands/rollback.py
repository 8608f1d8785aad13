"""`make rollback`: deploys the previous version again, by the steps of `make upload_model`.

Exit codes: 0 it serves; 1 it does not, and the version before still serves; 2 bad configuration.
"""

from collections.abc import Sequence
from functools import partial

from torchserve_gateway.commands.deploy import told
from torchserve_gateway.deployment.archives.sources import kept_archive
from torchserve_gateway.deployment.deploy import deploy
from torchserve_gateway.deployment.plan import planned
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedVersion, DeploymentRecord
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.deployment import SwapSettings


def rollback(settings: SwapSettings, *, as_json: bool = False) -> None:
    """Deploys the newest kept version and prints the serving version; as_json: for a script.

    Raises:
        DeploymentError: no version is kept, or it was not deployed.
    """
    record = DeploymentRecord(settings.torchserve.deployments_dir)
    with told(settings, record, as_json=as_json) as outcome, record.lock():
        previous = _previous_version(record, settings.served.name)
        outcome.version = previous.version
        with kept_archive(settings, previous) as archive:
            wanted = previous.model_copy(update={"archive": archive.name})
            outcome.line = deploy(settings, record, planned(settings, wanted, archive))


def _previous_version(record: DeploymentRecord, name: str) -> DeployedVersion:
    found = record.read()
    model = found.models.get(name)
    if model is None:
        raise DeploymentError(
            f"there is no version of {name}: {found.summary}; model=... or served_model.model_name=... "
            "chooses another"
        )
    if not model.previous:
        raise DeploymentError(f"there is no version of {name} before the serving version; see make models")
    return model.previous[0].deployed_now()


def main(argv: Sequence[str], *, as_json: bool = False) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("rollback", SwapSettings, partial(rollback, as_json=as_json), (DeploymentError,), argv)

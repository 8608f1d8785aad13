"""`make rollback`: back to the version that served before, by the same swap.

Exit codes: 0 it serves; 1 it does not, and what served still does; 2 bad configuration.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from torchserve_gateway.deployment.archives import Archive, local_archive, remote_archive
from torchserve_gateway.deployment.deploy import deploy
from torchserve_gateway.deployment.errors import DeploymentError, ModelStoreError
from torchserve_gateway.record.record import DeployedVersion, DeploymentRecord
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.deployment import SwapSettings


def rollback(settings: SwapSettings) -> None:
    """Deploys the newest of the versions that were kept and says what serves now.

    Raises:
        DeploymentError: there is none, or it was not deployed.
    """
    name, torchserve = settings.served_model.model_name, settings.torchserve
    record = DeploymentRecord(torchserve.deployments_dir)
    with record.lock():
        model = record.read().models.get(name)
        if model is None or not model.previous:
            raise DeploymentError(
                f"there is no version of {name} before the one that serves; see make models"
            )
        wanted = model.previous[0].deployed_now()
        with _archive(settings, wanted) as archive:
            print(deploy(settings, name, wanted.model_copy(update={"archive": archive.name}), archive))


def _archive(settings: SwapSettings, wanted: DeployedVersion) -> AbstractContextManager[Archive]:
    """The one that was kept; where none is, it is fetched again from where it came from."""
    store = settings.torchserve.model_store
    if store and (store / wanted.archive).is_file():
        return nullcontext(local_archive(settings, store / wanted.archive, wanted.version, wanted.sha256))
    if "://" in wanted.source:
        return remote_archive(settings, wanted.source, wanted.version, wanted.sha256)
    raise ModelStoreError(
        f"{wanted.archive} was not kept in the model store; deploy it again with "
        f"make upload_model VERSION={wanted.version}"
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("rollback", SwapSettings, rollback, (DeploymentError,), argv)

"""`make rollback`: back to the version that served before, by the same swap.

Exit codes: 0 it serves; 1 it does not, and what served still does; 2 bad configuration.
"""

import sys

from deployment.archives import Archive, archive_of, local_archive
from deployment.deploy import deploy
from deployment.errors import DeploymentError
from deployment.record import DeployedVersion, DeploymentRecord
from deployment.settings import SwapSettings
from entry_point import run


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
        if torchserve.model_store is None and "://" in wanted.source:
            with archive_of(
                wanted.source,
                wanted.sha256,
                torchserve.deployments_dir,
                shared_store=False,
                allowed=settings.allowed_urls,
            ) as archive:
                print(deploy(settings, name, wanted, archive))
        else:
            print(deploy(settings, name, wanted, _kept(settings, wanted)))


def _kept(settings: SwapSettings, wanted: DeployedVersion) -> Archive:
    store = settings.torchserve.model_store
    return (
        local_archive(store / wanted.archive, wanted.sha256) if store else Archive(wanted.archive, None, "")
    )


if __name__ == "__main__":
    sys.exit(run("rollback", SwapSettings, rollback, (DeploymentError,)))

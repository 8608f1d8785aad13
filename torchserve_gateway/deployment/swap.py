"""Swaps one version of a model for another on all replicas, while requests keep coming.

    on each replica in turn    register beside the old version -> workers READY -> golden check
    then                       trial (canary, shadow) -> default version on each replica -> record
    then                       gateways follow the record -> drain -> unregister on each replica

The old version serves on all its replicas until the record names the new version; a failure before that
removes the new version from all of them.
"""

import logging

from torchserve_gateway.deployment.plan import Deployment, Target, naming_replica
from torchserve_gateway.deployment.recheck import recheck
from torchserve_gateway.deployment.registration import (
    bring_up,
    check,
    refuse_if_registered,
    workers_ready,
)
from torchserve_gateway.deployment.retirement import retire_others
from torchserve_gateway.deployment.trial import passes_trial
from torchserve_gateway.deployment.undo import Changes, undo_killed_deploy
from torchserve_gateway.record.record import DeployedModel, DeployedVersion, DeploymentRecord
from torchserve_gateway.record.reports import Gateways
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import TorchServeError

logger = logging.getLogger(__name__)


class Swap:
    """One deploy to a list of replicas; the caller holds the record's lock."""

    def __init__(self, deployment: Deployment, replicas: list[TorchServe], record: DeploymentRecord) -> None:
        self._deployment = deployment
        self._target = Target(replicas, record, Gateways(record.directory))

    async def run(self) -> str:
        """Makes the wanted version the serving version and retires all others.

        A version that serves already is checked again and registered on replicas that lack it.

        Returns:
            a line that names the serving version.

        Raises:
            DeploymentError: the old version still serves, unless the message says otherwise.
        """
        deployment, target = self._deployment, self._target
        model, version = deployment.model, deployment.wanted.version
        try:
            before = await undo_killed_deploy(deployment, target)
            if before and before.serving.version == version:
                await recheck(deployment, target, before)
            elif not await self._promoted(before):
                return f"{model} {before.serving.version if before else 'nothing'} serves"
        except (TorchServeError, OSError) as exc:
            raise deployment.failed(exc) from exc
        await retire_others(deployment, target, before)
        return f"{model} {version} serves"

    async def _promoted(self, before: DeployedModel | None) -> bool:
        """Deploys the new version beside the old version and promotes it.

        Returns:
            False after a shadow trial with promote=false; then the version is removed again.
        """
        deployment, target = self._deployment, self._target
        await refuse_if_registered(deployment, target, before)
        changes = Changes(deployment, target)
        async with changes.undone_unless_kept(before):
            changes.stage()
            runs = await self._registered(before, changes)
            if not await passes_trial(deployment, target, before):
                return False
            await self._make_default(runs)
            await target.gateways.follow(self._recorded(before, runs))
            changes.keep()
        return True

    async def _registered(self, before: DeployedModel | None, changes: Changes) -> DeployedVersion:
        """Registers and checks the version on each replica; returns it with its actual parameters."""
        runs = self._deployment.wanted
        for torchserve in self._target.replicas:
            with naming_replica(torchserve, self._deployment):
                await changes.note_default(torchserve)
                with changes.registering(torchserve):
                    runs = await bring_up(torchserve, self._deployment, runs, before)
                await check(torchserve, self._deployment, runs)
        return runs

    async def _make_default(self, runs: DeployedVersion) -> None:
        deployment = self._deployment
        for torchserve in self._target.replicas:
            # A replica that restarted meanwhile came up with the old version alone.
            with naming_replica(torchserve, deployment):
                await workers_ready(torchserve, deployment, runs.initial_workers)
        for torchserve in self._target.replicas:
            with naming_replica(torchserve, deployment):
                status = await torchserve.management.set_default(deployment.model, runs.version)
            logger.info("%s: default: %s", torchserve.name, status)

    def _recorded(self, before: DeployedModel | None, runs: DeployedVersion) -> int:
        """Records the new version; returns the record's revision."""
        entry = DeployedModel(serving=runs, replicas=len(self._target.replicas))
        if before:
            entry = entry.model_copy(
                update={
                    "previous": previous_versions(before, runs.version)[: self._deployment.keep_previous],
                    "retiring": (before.serving.version,),
                }
            )
        return self._target.record.write(self._deployment.model, entry)


def previous_versions(before: DeployedModel, new: str) -> tuple[DeployedVersion, ...]:
    """Versions for a rollback from `new`, newest first."""
    previous = tuple(each for each in (before.serving, *before.previous) if each.version != new)
    is_rollback = any(each.version == new for each in before.previous)
    # The version that a rollback leaves is not kept.
    return previous[1:] if is_rollback else previous

"""Swaps one version of a model for another on all replicas, while requests keep coming.

    on each replica in turn    register beside the old version -> workers READY -> golden check
    then                       trial (canary, shadow) -> default version on each replica -> record
    then                       gateways follow the record -> drain -> unregister on each replica

The old version serves on all its replicas until the record names the new version; a failure before that
removes the new version from all of them.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from torchserve_gateway.deployment.archives.model_store import stage
from torchserve_gateway.deployment.parameters import refuse_differences, running
from torchserve_gateway.deployment.plan import Deployment, Target
from torchserve_gateway.deployment.registration import bring_up, refuse_if_registered, workers_ready
from torchserve_gateway.deployment.retirement import retire_others
from torchserve_gateway.deployment.trial import passes_trial
from torchserve_gateway.deployment.undo import Changes, undo_killed_deploy
from torchserve_gateway.record.record import DeployedModel, DeployedVersion, DeploymentRecord
from torchserve_gateway.record.reports import Gateways
from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import RefusedError, TorchServeError
from torchserve_gateway.torchserve_api.versions import registered

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
                await self._serve_again(before)
            elif not await self._promoted(before):
                return f"{model} {before.serving.version if before else 'nothing'} serves"
        except (TorchServeError, OSError) as exc:
            raise deployment.failed(deployment.explained(exc)) from exc
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
            with waiting("the gateways to follow the record"):
                await target.gateways.follow(self._recorded(before, runs))
            changes.keep()
        return True

    async def _registered(self, before: DeployedModel | None, changes: Changes) -> DeployedVersion:
        """Registers and checks the version on each replica; returns it with its actual parameters."""
        runs = self._deployment.wanted
        for torchserve in self._target.replicas:
            with self._naming(torchserve):
                runs = await self._register(torchserve, runs, before, changes)
        return runs

    async def _register(
        self,
        torchserve: TorchServe,
        wanted: DeployedVersion,
        before: DeployedModel | None,
        changes: Changes,
    ) -> DeployedVersion:
        deployment = self._deployment
        nothing_serves = not self._target.record.read().models
        async with changes.registering(torchserve):
            runs = await bring_up(torchserve, deployment, wanted, before, at_once=nothing_serves)
        other = before.serving.version if before and before.serving.version != runs.version else None
        await deployment.check(torchserve.inference, deployment.model, runs.version, other)
        return runs

    async def _make_default(self, runs: DeployedVersion) -> None:
        deployment = self._deployment
        for torchserve in self._target.replicas:
            # A replica that restarted meanwhile came up with the old version alone.
            with self._naming(torchserve):
                await workers_ready(torchserve, deployment, runs.initial_workers)
        for torchserve in self._target.replicas:
            with self._naming(torchserve):
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

    async def _serve_again(self, serving: DeployedModel) -> None:
        """Checks the serving version on all replicas and registers it on replicas that lack it."""
        deployment, runs = self._deployment, self._deployment.wanted
        # Not a change to undo: the record names the archive.
        if deployment.model_store and deployment.archive:
            stage(deployment.archive, runs.sha256, deployment.model_store)
        for torchserve in self._target.replicas:
            with self._naming(torchserve):
                runs = await self._serve_again_on(torchserve, runs, serving)
                await torchserve.management.set_default(deployment.model, runs.version)
        logger.info("%s %s serves already", deployment.model, runs.version)
        of_deploy = {"idempotent", "takes_images"}
        changed = {**runs.parameters(), **deployment.wanted.model_dump(include=of_deploy)}
        current = serving.serving.model_copy(update=changed)
        update = {"serving": current, "replicas": len(self._target.replicas)}
        self._target.record.write(deployment.model, serving.model_copy(update=update))

    async def _serve_again_on(
        self, torchserve: TorchServe, runs: DeployedVersion, serving: DeployedModel
    ) -> DeployedVersion:
        deployment, name = self._deployment, f"{self._deployment.model} {runs.version}"
        found = (await registered(torchserve.management, deployment.model)).get(runs.version)
        if found:
            refuse_differences(deployment.model, deployment.wanted, found)
            await workers_ready(torchserve, deployment, runs.initial_workers)
            running(f"{torchserve.name}: {name}", runs, found, deployment.deadline_s)
            await deployment.check(torchserve.inference, deployment.model, runs.version)
            return runs
        logger.warning("%s lacks %s", torchserve.name, name)
        changes = Changes(deployment, self._target, served=True)
        async with changes.undone_unless_kept(None):
            runs = await self._register(torchserve, runs, serving, changes)
            changes.keep()
        return runs

    @contextmanager
    def _naming(self, torchserve: TorchServe) -> Iterator[None]:
        """Adds the replica's name to a refusal; connection errors hold its address already."""
        try:
            yield
        except RefusedError as exc:
            explained = self._deployment.explained(exc)
            raise self._deployment.failed(f"{torchserve.name}: {explained}") from exc


def previous_versions(before: DeployedModel, new: str) -> tuple[DeployedVersion, ...]:
    """Versions for a rollback from `new`, newest first."""
    previous = tuple(each for each in (before.serving, *before.previous) if each.version != new)
    is_rollback = any(each.version == new for each in before.previous)
    # The version that a rollback leaves is not kept.
    return previous[1:] if is_rollback else previous

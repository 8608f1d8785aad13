"""Undoes a deploy that failed, was interrupted or was killed.

Each change is noted in begun.json before it is made. Undoing removes the noted changes and nothing else: a
version that was registered before the deploy stays, and so does an archive that the model store held before.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from torchserve_gateway.deployment.archives.model_store import stage, unstage_unused
from torchserve_gateway.deployment.drain import drain
from torchserve_gateway.deployment.plan import Deployment, Target
from torchserve_gateway.deployment.registration import remove_everywhere
from torchserve_gateway.record.begun import Begun, BegunDeploys
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedModel
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import TorchServeError, VersionConflictError
from torchserve_gateway.torchserve_api.versions import default_version

logger = logging.getLogger(__name__)


class Changes:
    """The changes of one deploy.

    Args:
        deployment: the plan.
        target: its place.
        served: whether the version serves already, and the deploy adds it to a replica that lacks it.
    """

    def __init__(self, deployment: Deployment, target: Target, *, served: bool = False) -> None:
        self._deployment = deployment
        self._target = target
        self._notes = BegunDeploys(target.record.directory)
        self._begun = Begun(version=deployment.wanted.version, served=served)
        self._defaults: dict[str, str | None] = {}
        self._kept = False

    @asynccontextmanager
    async def undone_unless_kept(self, before: DeployedModel | None) -> AsyncIterator[None]:
        """Undoes all changes at the end of the block, unless `keep` was called; also after Ctrl-C.

        Args:
            before: the model's entry in the record; it is restored.
        """
        try:
            yield
        finally:
            if not self._kept:
                await self._undo(before)

    def keep(self) -> None:
        """Ends the note: the record names the version."""
        self._kept = True
        self._notes.write(self._deployment.model, None)

    def stage(self) -> None:
        """Puts the archive into the model store; noted if the store lacks it.

        Raises:
            ModelStoreError: the store does not take it.
        """
        file, store = self._deployment.archive, self._deployment.model_store
        if file and store:
            wanted = self._deployment.wanted
            if not (store / wanted.archive).exists():
                self._note(self._begun.model_copy(update={"archive": wanted.archive}))
            stage(file, wanted.sha256, store)

    @asynccontextmanager
    async def registering(self, torchserve: TorchServe) -> AsyncIterator[None]:
        """Notes that the block registers the version on a replica, unless it was registered meanwhile.

        Raises:
            RecordError, TorchServeError: begun.json or the replica cannot be used.
        """
        without = self._begun
        if not without.served:
            default = await default_version(torchserve.management, self._deployment.model)
            self._defaults[torchserve.name] = default
        self._note(without.model_copy(update={"replicas": (*without.replicas, torchserve.name)}))
        try:
            yield
        except VersionConflictError:
            self._note(without)
            raise

    def _note(self, begun: Begun) -> None:
        self._notes.write(self._deployment.model, begun)
        self._begun = begun

    async def _undo(self, before: DeployedModel | None) -> None:
        model, version = self._deployment.model, self._deployment.wanted.version
        for torchserve in self._target.replicas:
            old = self._defaults.get(torchserve.name)
            try:
                if old and await default_version(torchserve.management, model) == version:
                    await torchserve.management.set_default(model, old)
            except TorchServeError as exc:
                logger.error("%s: the default version may still be %s: %s", torchserve.name, version, exc)
        if before:
            await _restore_record(self._deployment, self._target, before, version)
        logger.info("removing %s %s", model, version)
        await _remove(self._deployment, self._target, self._begun)


async def undo_killed_deploy(deployment: Deployment, target: Target) -> DeployedModel | None:
    """Undoes an earlier deploy of the model that was killed: its trial, its registrations, its archive.

    Returns:
        the model's entry in the record, None if it was never deployed.

    Raises:
        DeploymentError, TorchServeError: the version cannot be removed.
    """
    model = deployment.model
    before = target.record.read().models.get(model)
    if before and before.trial:
        logger.warning("an earlier deploy ended in the middle of its %s trial", before.trial.kind)
        version, before = before.trial.version, before.model_copy(update={"trial": None})
        await _restore_record(deployment, target, before, version)
    notes = BegunDeploys(target.record.directory)
    left = notes.read(model)
    if left is None:
        return before
    # The deploy may have been killed after the record named its version.
    if before and left.version == before.serving.version and not left.served:
        notes.write(model, None)
        return before
    logger.warning("an earlier deploy did not end; removing its %s %s", model, left.version)
    if await _remove(deployment, target, left):
        raise DeploymentError(f"{model} {left.version} of an earlier deploy cannot be removed")
    return before


async def _restore_record(
    deployment: Deployment, target: Target, before: DeployedModel, version: str
) -> None:
    """Takes all requests from a version, drains it and restores the record."""
    model = deployment.model
    if target.record.read().models.get(model) != before:
        ending = before.model_copy(update={"trial": None, "retiring": (*before.retiring, version)})
        await drain(deployment, target, version, target.record.write(model, ending))
    target.record.write(model, before)


async def _remove(deployment: Deployment, target: Target, begun: Begun) -> bool:
    """Removes the noted changes; returns whether a registration is left, which stays noted."""
    registered_on = [each for each in target.replicas if each.name in begun.replicas]
    left = await remove_everywhere(registered_on, deployment.model, begun.version)
    if begun.archive:
        unstage_unused({begun.archive}, target.record.read(), deployment.model_store)
    note = begun.model_copy(update={"replicas": left}) if left else None
    BegunDeploys(target.record.directory).write(deployment.model, note)
    return bool(left)

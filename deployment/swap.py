"""Swaps one version of a model for another, on all replicas, while requests keep coming.

    on each replica in turn    register beside the old one -> workers READY -> samples answered right
    then                       trial (canary, shadow) -> default version on each replica -> record
    then                       gateways follow the record -> old one drained -> unregistered on each replica

Until the record says so the old version serves, on as many replicas as before; a failure up to there takes
the new version away from all of them.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from deployment.errors import DeploymentError
from deployment.model_store import stage
from deployment.plan import Deployment
from deployment.record import DeployedModel, DeploymentRecord
from deployment.registration import (
    bring_up,
    default_version,
    refuse_differences,
    registered,
    remove_everywhere,
    workers_ready,
)
from deployment.reports import Gateways
from deployment.retirement import Retirement
from deployment.settings import BlueGreen, Canary
from deployment.trial import Trials
from torchserve_api.connection import TorchServe
from torchserve_api.errors import RefusedError, TorchServeError

logger = logging.getLogger(__name__)


class Swap:
    """One deploy to some replicas. record: the caller holds its lock."""

    def __init__(self, deployment: Deployment, replicas: list[TorchServe], record: DeploymentRecord) -> None:
        self._deployment = deployment
        self._replicas = replicas
        self._record = record
        self._gateways = Gateways(record.directory)
        self._retirement = Retirement(deployment, replicas, record, self._gateways)
        self._name, self._wanted = deployment.model, deployment.wanted

    async def run(self) -> str:
        """Makes the wanted version the one that serves and retires all others.

        Deploying what already serves only checks it again, and brings it to replicas that lack it.

        Returns:
            what serves now, in one line.

        Raises:
            DeploymentError: it failed; what served before still serves, unless the message says otherwise.
        """
        before = self._record.read().models.get(self._name)
        try:
            if before and await self._serves_already(before):
                return f"{self._name} {self._wanted.version} serves"
            await self._end_what_another_deploy_left(before)
            if not await self._promoted(before):
                return f"{self._name} {before.serving.version if before else 'nothing'} serves"
        except (TorchServeError, OSError) as exc:
            raise DeploymentError(f"{self._name} {self._wanted.version} was not deployed: {exc}") from exc
        await self._retirement.retire_others(before)
        return f"{self._name} {self._wanted.version} serves"

    async def _serves_already(self, before: DeployedModel) -> bool:
        wanted = self._wanted
        if before.serving.version != wanted.version:
            return False
        self._stage()
        for torchserve in self._replicas:
            found = await registered(torchserve.management, self._name)
            if wanted.version in found:
                refuse_differences(self._name, wanted, found[wanted.version])
                await self._until_ready(torchserve)
                await self._deployment.check(torchserve.inference, self._name, wanted.version)
            else:
                logger.warning("%s lacks %s %s", torchserve.name, self._name, wanted.version)
                await self._bring_up(torchserve)
            await torchserve.management.set_default(self._name, wanted.version)
        logger.info("%s %s serves already", self._name, wanted.version)
        self._record.write(
            self._name, before.model_copy(update={"trial": None, "replicas": len(self._replicas)})
        )
        await self._retirement.retire_others(before)
        return True

    async def _end_what_another_deploy_left(self, before: DeployedModel | None) -> None:
        """A deploy that was killed may have left a trial: its version gets no more requests."""
        if before and before.trial:
            logger.warning("an earlier deploy ended in the middle of its %s trial", before.trial.kind)
            await self._retirement.end_trial(before, before.trial.version)

    async def _promoted(self, before: DeployedModel | None) -> bool:
        """Brings the new version up, tries it, makes it the one that serves; or it is gone again.

        Returns:
            False after a shadow that was not to be promoted.
        """
        defaults: dict[str, str | None] = {}
        self._stage()
        try:
            for torchserve in self._replicas:
                with self._named(torchserve):
                    defaults[torchserve.name] = await default_version(torchserve.management, self._name)
                    await self._bring_up(torchserve)
            if not await self._tried(before):
                await self._undo(before, defaults)
                return False
            await self._switch(before)
        # Also a deploy that is interrupted must not leave half a version behind.
        except BaseException:
            await self._undo(before, defaults)
            raise
        return True

    async def _bring_up(self, torchserve: TorchServe) -> None:
        deployment = self._deployment
        await bring_up(
            *(torchserve, self._name, self._wanted, deployment.url),
            *(deployment.check, deployment.ready_timeout_s),
        )

    async def _until_ready(self, torchserve: TorchServe) -> None:
        wanted, timeout_s = self._wanted, self._deployment.ready_timeout_s
        await workers_ready(
            torchserve.management, self._name, wanted.version, wanted.initial_workers, timeout_s
        )

    async def _tried(self, before: DeployedModel | None) -> bool:
        """Whether the version is to be promoted."""
        strategy = self._deployment.strategy
        if isinstance(strategy, BlueGreen):
            return True
        if before is None:
            logger.info("nothing serves yet, so there is nothing to compare %s with", self._wanted.version)
            return True
        trials = Trials(self._record, self._gateways, self._name, before)
        if isinstance(strategy, Canary):
            await trials.canary(self._wanted.version, strategy)
            return True
        await trials.shadow(self._wanted.version, strategy)
        return strategy.promote

    async def _switch(self, before: DeployedModel | None) -> None:
        for torchserve in self._replicas:
            # One that was restarted meanwhile came up with what is on record, the old version.
            with self._named(torchserve):
                await self._until_ready(torchserve)
        for torchserve in self._replicas:
            with self._named(torchserve):
                status = await torchserve.management.set_default(self._name, self._wanted.version)
            logger.info("%s: default: %s", torchserve.name, status)
        revision = self._record.write(self._name, self._after(before))
        await self._gateways.follow(revision)

    def _after(self, before: DeployedModel | None) -> DeployedModel:
        if before is None:
            return DeployedModel(serving=self._wanted, replicas=len(self._replicas))
        is_rollback = any(each.version == self._wanted.version for each in before.previous)
        previous = [
            each for each in (before.serving, *before.previous) if each.version != self._wanted.version
        ]
        if is_rollback:
            # What is rolled back from is no version to go back to.
            previous = previous[1:]
        return DeployedModel(
            serving=self._wanted,
            replicas=len(self._replicas),
            previous=tuple(previous[: self._deployment.keep_previous]),
            retiring=(before.serving.version,),
        )

    async def _undo(self, before: DeployedModel | None, defaults: dict[str, str | None]) -> None:
        """Only what served before remains."""
        logger.info("taking %s %s away again", self._name, self._wanted.version)
        version = self._wanted.version
        reached = [each for each in self._replicas if each.name in defaults]
        for torchserve in reached:
            old = defaults[torchserve.name]
            try:
                if old and await default_version(torchserve.management, self._name) == version:
                    await torchserve.management.set_default(self._name, old)
            except TorchServeError as exc:
                logger.error("%s: the default version may still be %s: %s", torchserve.name, version, exc)
        if before:
            await self._retirement.end_trial(before, version)
        await remove_everywhere(reached, self._name, version)
        self._retirement.unstage_unless_kept({self._wanted.archive})

    @contextmanager
    def _named(self, torchserve: TorchServe) -> Iterator[None]:
        """Says which replica refused; what cannot be reached says so itself."""
        try:
            yield
        except RefusedError as exc:
            raise DeploymentError(
                f"{self._name} {self._wanted.version} was not deployed: {torchserve.name}: {exc}"
            ) from exc

    def _stage(self) -> None:
        if self._deployment.model_store and self._deployment.archive:
            stage(self._deployment.archive, self._deployment.model_store)

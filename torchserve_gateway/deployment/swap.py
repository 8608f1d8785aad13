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

from torchserve_gateway.deployment.plan import Deployment
from torchserve_gateway.deployment.registration import (
    as_described,
    refuse_differences,
    workers_ready,
)
from torchserve_gateway.deployment.retirement import Retirement
from torchserve_gateway.deployment.trial import Trials
from torchserve_gateway.deployment.undo import Rollout
from torchserve_gateway.downloads import without_credentials
from torchserve_gateway.record.begun import BegunDeploys
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord
from torchserve_gateway.record.reports import Gateways
from torchserve_gateway.settings.deployment import BlueGreen, Canary
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import RefusedError, TorchServeError
from torchserve_gateway.torchserve_api.versions import default_version, registered

logger = logging.getLogger(__name__)


class Swap:
    """One deploy to some replicas. record: the caller holds its lock."""

    def __init__(self, deployment: Deployment, replicas: list[TorchServe], record: DeploymentRecord) -> None:
        self._deployment = deployment
        self._replicas = replicas
        self._record = record
        self._gateways = Gateways(record.directory)
        self._retirement = Retirement(deployment, replicas, record, self._gateways)
        self._rollout = Rollout(deployment, replicas, BegunDeploys(record.directory), self._retirement)
        self._name, self._version = deployment.model, deployment.wanted.version

    async def run(self) -> str:
        """Makes the wanted version the one that serves and retires all others.

        Deploying what already serves only checks it again, and brings it to replicas that lack it.

        Returns:
            what serves now, in one line.

        Raises:
            DeploymentError: it failed; what served before still serves, unless the message says otherwise.
        """
        try:
            before = await self._without_trial(self._record.read().models.get(self._name))
            await self._rollout.take_away_what_was_left(before)
            if before and before.serving.version == self._version:
                await self._serve_on_all(before)
            elif not await self._promoted(before):
                return f"{self._name} {before.serving.version if before else 'nothing'} serves"
        except (TorchServeError, OSError) as exc:
            # TorchServe repeats the URL, which may be presigned.
            reason = without_credentials(str(exc))
            raise DeploymentError(f"{self._name} {self._version} was not deployed: {reason}") from exc
        await self._retirement.retire_others(before)
        return f"{self._name} {self._version} serves"

    async def _without_trial(self, before: DeployedModel | None) -> DeployedModel | None:
        """A deploy that was killed may have left a trial: its version gets no more requests."""
        if before is None or before.trial is None:
            return before
        logger.warning("an earlier deploy ended in the middle of its %s trial", before.trial.kind)
        ended = before.model_copy(update={"trial": None})
        await self._retirement.end_trial(ended, before.trial.version)
        return ended

    async def _serve_on_all(self, before: DeployedModel) -> None:
        self._rollout.stage(noted=False)
        for torchserve in self._replicas:
            with self._named(torchserve):
                found = (await registered(torchserve.management, self._name)).get(self._version)
                if found:
                    refuse_differences(self._name, self._deployment.wanted, found)
                    await self._until_ready(torchserve)
                    await self._rollout.check(torchserve, as_described(self._rollout.runs, found))
                else:
                    logger.warning("%s lacks %s %s", torchserve.name, self._name, self._version)
                    await self._rollout.bring_back(torchserve, before)
                await torchserve.management.set_default(self._name, self._version)
        logger.info("%s %s serves already", self._name, self._version)
        parameters = self._rollout.runs.parameters()
        serving = before.serving.model_copy(update=parameters)
        self._record.write(
            self._name, before.model_copy(update={"serving": serving, "replicas": len(self._replicas)})
        )

    async def _promoted(self, before: DeployedModel | None) -> bool:
        """Brings the new version up, tries it, makes it the one that serves; or it is gone again.

        Returns:
            False after a shadow that was not to be promoted.
        """
        defaults: dict[str, str | None] = {}
        await self._rollout.refuse_if_registered(before)
        try:
            self._rollout.stage(noted=True)
            for torchserve in self._replicas:
                with self._named(torchserve):
                    defaults[torchserve.name] = await default_version(torchserve.management, self._name)
                    await self._rollout.bring_up(torchserve, before)
            if not await self._tried(before):
                await self._undo(before, defaults)
                return False
            await self._switch(before)
        # Also a deploy that is interrupted must not leave half a version behind.
        except BaseException:
            await self._undo(before, defaults)
            raise
        self._rollout.end()
        return True

    async def _until_ready(self, torchserve: TorchServe) -> None:
        workers, timeout_s = self._rollout.runs.initial_workers, self._deployment.ready_timeout_s
        await workers_ready(torchserve.management, self._name, self._version, workers, timeout_s)

    async def _tried(self, before: DeployedModel | None) -> bool:
        """Whether the version is to be promoted."""
        strategy = self._deployment.strategy
        if isinstance(strategy, BlueGreen):
            return True
        if before is None:
            logger.info("nothing serves yet, so there is nothing to compare %s with", self._version)
            return True
        trials = Trials(self._record, self._gateways, self._name, before)
        if isinstance(strategy, Canary):
            await trials.canary(self._version, strategy)
            return True
        await trials.shadow(self._version, strategy)
        return strategy.promote

    async def _switch(self, before: DeployedModel | None) -> None:
        for torchserve in self._replicas:
            # One that was restarted meanwhile came up with what is on record, the old version.
            with self._named(torchserve):
                await self._until_ready(torchserve)
        for torchserve in self._replicas:
            with self._named(torchserve):
                status = await torchserve.management.set_default(self._name, self._version)
            logger.info("%s: default: %s", torchserve.name, status)
        revision = self._record.write(self._name, self._after(before))
        await self._gateways.follow(revision)

    def _after(self, before: DeployedModel | None) -> DeployedModel:
        if before is None:
            return DeployedModel(serving=self._rollout.runs, replicas=len(self._replicas))
        is_rollback = any(each.version == self._version for each in before.previous)
        previous = [each for each in (before.serving, *before.previous) if each.version != self._version]
        if is_rollback:
            # What is rolled back from is no version to go back to.
            previous = previous[1:]
        return DeployedModel(
            serving=self._rollout.runs,
            replicas=len(self._replicas),
            previous=tuple(previous[: self._deployment.keep_previous]),
            retiring=(before.serving.version,),
        )

    async def _undo(self, before: DeployedModel | None, defaults: dict[str, str | None]) -> None:
        """Only what was there before remains."""
        version = self._version
        for torchserve in self._replicas:
            old = defaults.get(torchserve.name)
            try:
                if old and await default_version(torchserve.management, self._name) == version:
                    await torchserve.management.set_default(self._name, old)
            except TorchServeError as exc:
                logger.error("%s: the default version may still be %s: %s", torchserve.name, version, exc)
        if before:
            await self._retirement.end_trial(before, version)
        await self._rollout.undo()

    @contextmanager
    def _named(self, torchserve: TorchServe) -> Iterator[None]:
        """Says which replica refused; what cannot be reached says so itself."""
        try:
            yield
        except RefusedError as exc:
            # TorchServe repeats the URL, which may be presigned.
            reason = without_credentials(f"{torchserve.name}: {exc}")
            raise DeploymentError(f"{self._name} {self._version} was not deployed: {reason}") from exc

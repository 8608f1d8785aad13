"""Versions that get no request any more: drained, unregistered, and their archives put away."""

import logging

from torchserve_gateway.deployment.archives.model_store import unstage
from torchserve_gateway.deployment.drain import drain
from torchserve_gateway.deployment.plan import Deployment
from torchserve_gateway.deployment.registration import registered_when_back, remove
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord
from torchserve_gateway.record.reports import Gateways
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.descriptions import ModelVersion
from torchserve_gateway.torchserve_api.errors import TorchServeError

logger = logging.getLogger(__name__)


class Retirement:
    """Of the versions of one model, on all replicas of a deploy."""

    def __init__(
        self,
        deployment: Deployment,
        replicas: list[TorchServe],
        record: DeploymentRecord,
        gateways: Gateways,
    ) -> None:
        self._deployment = deployment
        self._replicas = replicas
        self._record = record
        self._gateways = gateways
        self._name, self._wanted = deployment.model, deployment.wanted

    async def end_trial(self, before: DeployedModel, version: str) -> None:
        """Takes its share from a version, waits until it has nothing left, and puts `before` on record again.

        Raises:
            TorchServeError, RecordError: it may still have requests.
        """
        ending = before.model_copy(update={"trial": None, "retiring": (*before.retiring, version)})
        if self._record.read().models.get(self._name) != before:
            await self._drain(version, self._record.write(self._name, ending))
        self._record.write(self._name, before)

    async def retire_others(self, before: DeployedModel | None) -> None:
        """Drains and unregisters all versions but the wanted one. before: what was on record before it.

        Raises:
            DeploymentError: the wanted version serves, but others are still there.
        """
        try:
            others = await self._others()
            for version in others:
                serving = self._record.read().models[self._name]
                revision = self._record.write(
                    self._name, serving.model_copy(update={"retiring": tuple({*serving.retiring, version})})
                )
                await self._drain(version, revision)
                for torchserve in self._replicas:
                    await remove(torchserve, self._name, version)
                logger.info("retired %s %s", self._name, version)
        except TorchServeError as exc:
            raise DeploymentError(
                f"{self._name} {self._wanted.version} serves, but retiring the others failed: {exc}"
            ) from exc
        serving = self._record.read().models[self._name]
        self._record.write(self._name, serving.model_copy(update={"retiring": ()}))
        self.unstage_unless_kept(_archives_of_deploys(before, others))

    async def _others(self) -> dict[str, ModelVersion]:
        found: dict[str, ModelVersion] = {}
        for torchserve in self._replicas:
            found |= await registered_when_back(torchserve, self._name)
        return {version: each for version, each in found.items() if version != self._wanted.version}

    async def _drain(self, version: str, revision: int) -> None:
        deployment = self._deployment
        await drain(
            self._replicas,
            self._gateways,
            self._name,
            version,
            revision,
            deployment.drain_timeout_s,
            deployment.deadline_s,
            deployment.settle_s,
        )

    def unstage_unless_kept(self, archives: set[str]) -> None:
        """Takes archives out of the model store that neither serve nor may be rolled back to."""
        # Of all models: two may be served from the same archive.
        models = self._record.read().models.values()
        kept = {each.archive for model in models for each in (model.serving, *model.previous)}
        if self._deployment.model_store:
            for archive in archives - kept:
                unstage(archive, self._deployment.model_store)


def _archives_of_deploys(before: DeployedModel | None, retired: dict[str, ModelVersion]) -> set[str]:
    """Those that deploys brought; what others put into the model store is theirs."""
    if before is None:
        return set()
    on_record = {each.archive for each in (before.serving, *before.previous)}
    return on_record | {each.archive_name for version, each in retired.items() if version in before.retiring}

"""Versions that get no request any more: drained, unregistered, and their archives put away."""

import logging

from deployment.drain import drain
from deployment.errors import DeploymentError
from deployment.model_store import unstage
from deployment.plan import Deployment
from deployment.record import DeployedModel, DeploymentRecord
from deployment.registration import registered_when_back, remove
from deployment.reports import Gateways
from torchserve_api.connection import TorchServe
from torchserve_api.descriptions import ModelVersion
from torchserve_api.errors import TorchServeError

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
        ended = before.model_copy(update={"trial": None, "retiring": (version,)})
        if self._record.read().models.get(self._name) != before:
            await self._drain(version, self._record.write(self._name, ended))
        self._record.write(self._name, ended.model_copy(update={"retiring": ()}))

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
        once_kept = (before.serving, *before.previous) if before else ()
        self.unstage_unless_kept(
            {each.archive for each in once_kept} | {each.archive_name for each in others.values()}
        )

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
            deployment.unreported_s,
        )

    def unstage_unless_kept(self, archives: set[str]) -> None:
        """Takes archives out of the model store that neither serve nor may be rolled back to."""
        model = self._record.read().models.get(self._name)
        kept = {each.archive for each in (model.serving, *model.previous)} if model else set()
        if self._deployment.model_store:
            for archive in archives - kept:
                unstage(archive, self._deployment.model_store)

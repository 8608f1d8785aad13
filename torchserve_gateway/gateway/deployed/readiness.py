"""Whether a prediction would be served now."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from torchserve_gateway.gateway.errors import NotReadyError
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.torchserve_api.connection import TorchServe, replicas
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError, TorchServeError


class Drainable(Protocol):
    """Admits requests until the gateway stops."""

    @property
    def draining(self) -> bool:
        """Whether this gateway is about to stop."""
        ...


@dataclass(frozen=True)
class Readiness:
    """Asks every TorchServe for workers that are READY.

    TorchServe's /ping says Healthy without a model, and with a model whose workers cannot start.
    """

    settings: ProjectSettings
    torchserve: TorchServe
    admission: Drainable

    async def check_gateway(self) -> None:
        """Passes if the default model, or all of `ready_models`, would answer.

        Raises:
            NotReadyError: one of them would not answer, or this gateway is stopping.
        """
        gateway = self.settings.gateway
        models = gateway.ready_models or [gateway.default_model]
        await asyncio.gather(*map(self._check_required, models))

    async def _check_required(self, model: str) -> None:
        try:
            await self.check_model(model)
        except ModelNotFoundError as exc:
            raise _not_served(model, exc) from exc

    async def check_model(self, model: str, version: str | None = None) -> None:
        """Passes if the version, or the default version, would answer.

        Raises:
            NotReadyError: it would not answer, or this gateway is stopping.
            ModelNotFoundError: no TorchServe has it.
        """
        if self.admission.draining:
            raise NotReadyError("this gateway is stopping")
        found = await replicas(self.settings.torchserve, self.torchserve.http)
        problems = await asyncio.gather(*(self._problem_of(each, model, version) for each in found))
        troubles = [each for each in problems if each]
        if len(troubles) == len(problems):
            raise next((each for each in troubles if isinstance(each, NotReadyError)), troubles[0])

    async def _problem_of(
        self, replica: TorchServe, model: str, version: str | None
    ) -> NotReadyError | ModelNotFoundError | None:
        timeout_s = self.settings.gateway.health_timeout_s
        try:
            versions = await replica.management.describe(model, version, timeout_s)
        except ModelNotFoundError as exc:
            return exc
        except TorchServeError as exc:
            return _not_served(model, exc)
        # TorchServe takes "all" for every version.
        described = next((each for each in versions if version in (None, each.model_version)), None)
        if described is None:
            message = f"Model version: {version} does not exist for model: {model}"
            return ModelNotFoundError(404, "ModelVersionNotFoundException", message)
        if described.ready_workers:
            return None
        return NotReadyError(f"{model} {described.model_version} has no worker that is READY")


def _not_served(model: str, exc: TorchServeError) -> NotReadyError:
    return NotReadyError(f"{model} cannot be served: {exc}")

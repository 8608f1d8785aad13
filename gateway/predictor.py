"""One prediction by the version that the routing chooses."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from gateway.admission import Admission
from gateway.deployments import Deployments
from gateway.routing import Choice, Routing
from gateway.shadowing import Shadowing
from gateway.upstream import Upstream
from torchserve_api.errors import ModelNotFoundError
from torchserve_api.inference import Prediction

Ask = Callable[[str | None, float], Awaitable[Prediction]]
"""Asks a version, or the one that TorchServe chooses; gets the seconds it may take."""


@dataclass(frozen=True)
class Predictor:
    """Sends request bodies to TorchServe."""

    upstream: Upstream
    admission: Admission
    routing: Routing
    shadowing: Shadowing
    deployments: Deployments

    async def predict(
        self, model: str, requested: str | None, key: str, body: bytes, content_type: str, deadline_s: float
    ) -> Prediction:
        """Predicts with the requested version, else with the one chosen for `key`.

        Raises:
            OverloadedError, UpstreamDownError: it was not sent.
            TorchServeError: as the subclass that fits.
        """
        choice = self.routing.choose(model, requested, key)

        async def ask(version: str | None, left_s: float) -> Prediction:
            with self.routing.counted(model, version) as outcome:
                return outcome.answered(
                    await self.upstream.predict(model, version, body, content_type, left_s)
                )

        prediction = await self._ask(ask, model, requested, choice, deadline_s)
        if choice.shadow:
            self.shadowing.copy(model, choice.shadow, body, content_type, deadline_s, prediction)
        return prediction

    async def explain(
        self, model: str, requested: str | None, key: str, body: bytes, content_type: str, deadline_s: float
    ) -> Prediction:
        """As `predict`, but asks why. A version is not judged by its explanations, nor are they shadowed.

        Raises:
            OverloadedError, UpstreamDownError: it was not sent.
            TorchServeError: as the subclass that fits.
        """

        async def ask(version: str | None, left_s: float) -> Prediction:
            with self.routing.in_flight(model, version):
                return await self.upstream.explain(model, version, body, content_type, left_s)

        choice = self.routing.choose(model, requested, key)
        return await self._ask(ask, model, requested, choice, deadline_s)

    async def _ask(
        self, ask: Ask, model: str, requested: str | None, choice: Choice, deadline_s: float
    ) -> Prediction:
        give_up = monotonic() + deadline_s
        async with self.admission.slot(model, deadline_s):
            try:
                return await ask(choice.version, max(give_up - monotonic(), 0))
            except ModelNotFoundError:
                if requested is not None or choice.version is None:
                    raise
                # A TorchServe that does not have what is on record; the job never ran. What it has by
                # default passed its check, too.
                await self.deployments.refresh()
                return await ask(None, max(give_up - monotonic(), 0))

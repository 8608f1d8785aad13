"""One prediction by the version that the routing chooses."""

from dataclasses import dataclass
from time import monotonic

from gateway.deployments import Deployments
from gateway.routing import Routing
from gateway.shadowing import Shadowing
from torchserve_api.errors import ModelNotFoundError
from torchserve_api.inference import InferenceClient, Prediction


@dataclass(frozen=True)
class Predictor:
    """Sends request bodies to TorchServe."""

    inference: InferenceClient
    routing: Routing
    shadowing: Shadowing
    deployments: Deployments

    async def predict(
        self, model: str, requested: str | None, key: str, body: bytes, content_type: str, deadline_s: float
    ) -> Prediction:
        """Predicts with the requested version, else with the one chosen for `key`.

        Raises:
            TorchServeError: as the subclass that fits.
        """
        started = monotonic()
        choice = self.routing.choose(model, requested, key)
        try:
            prediction = await self._predict(model, choice.version, body, content_type, deadline_s)
        except ModelNotFoundError:
            if requested is not None or choice.version is None:
                raise
            # A TorchServe that does not have what is on record; the job never ran. What it has by default
            # passed its check, too.
            await self.deployments.refresh()
            left_s = max(deadline_s - (monotonic() - started), 0)
            prediction = await self._predict(model, None, body, content_type, left_s)
        if choice.shadow:
            self.shadowing.copy(model, choice.shadow, body, content_type, deadline_s, prediction)
        return prediction

    async def _predict(
        self, model: str, version: str | None, body: bytes, content_type: str, deadline_s: float
    ) -> Prediction:
        with self.routing.counted(model, version) as outcome:
            return outcome.answered(
                await self.inference.predict(model, version, body, content_type, deadline_s)
            )

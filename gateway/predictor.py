"""One prediction by the version that the routing chooses."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from gateway.admission import Admission
from gateway.cache import CacheControl, ResponseCache, cache_key
from gateway.deployments import Deployments
from gateway.observability import Answered, current_record
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
    cache: ResponseCache | None

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

        async def predicted() -> Prediction:
            return await self._ask(ask, model, requested, choice, deadline_s)

        archive = self.routing.archive_sha256(model, choice.version)
        if self.cache is None or archive is None or choice.version is None:
            prediction = await predicted()
        else:
            key = cache_key(model, choice.version, archive, content_type, body)
            prediction = await self._kept_or(predicted, self.cache, key, choice.version, deadline_s)
        if choice.shadow and current_record.get().cache != "hit":
            self.shadowing.copy(model, choice.shadow, body, content_type, deadline_s, prediction)
        return prediction

    async def _kept_or(
        self,
        predicted: Callable[[], Awaitable[Prediction]],
        cache: ResponseCache,
        key: str,
        version: str,
        deadline_s: float,
    ) -> Prediction:
        record = current_record.get()
        control = CacheControl.of(record.cache_control)
        prediction, record.cache = await cache.answer(key, version, control, predicted, deadline_s)
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
        started = monotonic()
        give_up = started + deadline_s
        record = current_record.get()
        # Should it fail, it is this version's failure.
        record.version = choice.version
        async with self.admission.slot(model, deadline_s):
            admission_s = monotonic() - started
            try:
                prediction = await ask(choice.version, max(give_up - monotonic(), 0))
            except ModelNotFoundError:
                if requested is not None or choice.version is None:
                    raise
                # A TorchServe that does not have what is on record; the job never ran. What it has by
                # default passed its check, too.
                await self.deployments.refresh()
                prediction = await ask(None, max(give_up - monotonic(), 0))
        record.answered.append(Answered(prediction, admission_s))
        return prediction

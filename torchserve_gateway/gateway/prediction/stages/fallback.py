"""One prediction by the version that the routing chooses."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from time import monotonic

from torchserve_gateway.gateway.deployed.record_follower import Deployments
from torchserve_gateway.gateway.deployed.routing import Choice, Routing
from torchserve_gateway.gateway.prediction.admission import Admission
from torchserve_gateway.gateway.prediction.stages.cache import CacheControl, ResponseCache
from torchserve_gateway.gateway.prediction.stages.retry import Upstream
from torchserve_gateway.gateway.prediction.stages.running_jobs import RunningJobs
from torchserve_gateway.gateway.prediction.stages.shadow import Shadowing
from torchserve_gateway.gateway.telemetry.request_context import Answered, current_record
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError
from torchserve_gateway.torchserve_api.inference import Job, Prediction

Ask = Callable[[Job, float], Awaitable[Prediction]]
"""Sends a job; gets the seconds it may take."""


@dataclass(frozen=True)
class Predictor:
    """Sends request bodies to TorchServe. longest_s: seconds that a job may take there."""

    upstream: Upstream
    admission: Admission
    routing: Routing
    shadowing: Shadowing
    deployments: Deployments
    cache: ResponseCache | None
    jobs: RunningJobs
    longest_s: float

    async def predict(self, job: Job, key: str, deadline_s: float) -> Prediction:
        """Predicts with the version that the job names, else with the one chosen for `key`.

        Raises:
            OverloadedError, UpstreamDownError: it was not sent.
            TorchServeError: as the subclass that fits.
        """
        choice = self.routing.choose(job.model, job.version, key)

        async def ask(chosen: Job, left_s: float) -> Prediction:
            with self.routing.counted(job.model, chosen.version) as outcome:
                return outcome.answered(await self.upstream.predict(chosen, left_s))

        async def predicted() -> Prediction:
            return await self._ask(ask, job, choice, deadline_s)

        prediction = await self._kept_or(predicted, replace(job, version=choice.version), deadline_s)
        comparable = prediction.error is None and current_record.get().cache != "hit"
        if choice.shadow and comparable:
            self.shadowing.copy(replace(job, version=choice.shadow), deadline_s, prediction)
        return prediction

    async def _kept_or(
        self, predicted: Callable[[], Awaitable[Prediction]], chosen: Job, deadline_s: float
    ) -> Prediction:
        archive = self.routing.archive_sha256(chosen.model, chosen.version)
        if self.cache is None or archive is None:
            return await predicted()
        record = current_record.get()
        control = CacheControl.of(record.cache_control)
        prediction, record.cache = await self.cache.answer(chosen, archive, control, predicted, deadline_s)
        return prediction

    async def explain(self, job: Job, key: str, deadline_s: float) -> Prediction:
        """As `predict`, but asks why. A version is not judged by its explanations, nor are they shadowed.

        Raises:
            OverloadedError, UpstreamDownError: it was not sent.
            TorchServeError: as the subclass that fits.
        """

        async def ask(chosen: Job, left_s: float) -> Prediction:
            with self.routing.in_flight(job.model, chosen.version):
                return await self.upstream.explain(chosen, left_s)

        return await self._ask(ask, job, self.routing.choose(job.model, job.version, key), deadline_s)

    async def _ask(self, ask: Ask, job: Job, choice: Choice, deadline_s: float) -> Prediction:
        started = monotonic()
        record = current_record.get()
        # Should it fail, it is this version's failure.
        record.version = choice.version
        give_back = await self.admission.slot(job.model, deadline_s)
        admission_s = monotonic() - started
        left_s = max(deadline_s - admission_s, 0)
        prediction = await self.jobs.run(self._asked(ask, job, choice), give_back, left_s)
        record.answered.append(Answered(prediction, admission_s))
        return prediction

    async def _asked(self, ask: Ask, job: Job, choice: Choice) -> Prediction:
        """Asks for as long as TorchServe may take, whatever the client's own deadline is."""
        give_up = monotonic() + self.longest_s
        try:
            return await ask(replace(job, version=choice.version), self.longest_s)
        except ModelNotFoundError:
            if job.version is not None or choice.version is None:
                raise
            # A TorchServe that does not have what is on record; the job never ran. What it has by
            # default passed its check, too.
            await self.deployments.refresh()
            return await ask(job, max(give_up - monotonic(), 0))

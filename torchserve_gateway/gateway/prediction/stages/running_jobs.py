"""Stage: a job keeps its slot until TorchServe has answered, however late."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic

from torchserve_gateway.gateway.prediction.admission import Admission
from torchserve_gateway.gateway.prediction.background_tasks import BackgroundTasks, ended
from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.errors import DeadlineExceededError
from torchserve_gateway.torchserve_api.inference import Job, Prediction


@dataclass(frozen=True, slots=True)
class RunningJobs:
    """Waits for a slot, then runs the job to its end, as TorchServe does.

    A client that leaves, or asks for a short deadline, would otherwise free its slot while its job still
    runs: one client could fill TorchServe's queue past all admission.
    """

    admission: Admission
    jobs: BackgroundTasks
    """Jobs that TorchServe has."""
    longest_s: Callable[[str], float]
    """Seconds that a model's job may take at TorchServe, whatever its client's own deadline is."""
    next_stage: Stage

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """As `Stage.predict`.

        Raises:
            OverloadedError: no slot in time.
            DeadlineExceededError: no slot, or no answer, before the request's deadline.
        """
        asked = monotonic()
        slot = await self.admission.slot(job.model, context.left_s)
        admission_s, left_s = monotonic() - asked, max(context.left_s, 0)
        task = self.jobs.start(self.next_stage.predict(job, context.detached(self.longest_s(job.model))))
        task.add_done_callback(slot.give_back)
        try:
            if not await ended(task, left_s):
                raise DeadlineExceededError(f"TorchServe did not answer within {left_s:.3g} s")
            prediction = task.result()
        finally:
            # An exception of the task has this frame in its traceback: a cycle would keep the body.
            del task
        return replace(prediction, admission_s=admission_s)

"""Stage: refuses requests for a version whose workers still load."""

import asyncio
from dataclasses import dataclass

from torchserve_gateway.gateway.deployed.worker_watch import WorkerWatch
from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.errors import NotConnectedError
from torchserve_gateway.torchserve_api.inference import Job, Prediction


@dataclass(frozen=True, slots=True)
class Loading:
    """Passes jobs on; a job that TorchServe keeps because no worker has loaded yet is given up.

    TorchServe would keep it until the deadline, while its client could ask elsewhere or later.
    """

    watch: WorkerWatch
    next_stage: Stage

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """As `Stage.predict`.

        Raises:
            NotReadyError: the version's workers load.
        """
        version = job.model, job.version
        if version in self.watch.loading:
            await self.watch.refuse_unless_loaded(version)
        waiting = asyncio.timeout(None)
        try:
            async with waiting:
                self.watch.begins(version, waiting)
                try:
                    prediction = await self.next_stage.predict(job, context)
                finally:
                    self.watch.ends(version, waiting)
        except TimeoutError as exc:
            if not waiting.expired():
                raise
            raise self.watch.refusal(version) from exc
        except NotConnectedError:
            self.watch.disconnected()
            raise
        finally:
            # It holds the task, whose exception has this frame in its traceback: a cycle would keep the body.
            del waiting
        self.watch.answered(version)
        return prediction

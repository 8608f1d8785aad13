"""The one shape of every stage of a prediction."""

from collections.abc import Callable
from typing import Protocol

from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.inference import Job, Prediction


class Stage(Protocol):
    """One step of a prediction; all but the innermost stage pass the job on to the next stage."""

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """Answers a job before `context.deadline`.

        Raises:
            GatewayError, TorchServeError: as the subclass that fits.
        """
        ...


def chained(*stages: Callable[[Stage], Stage], innermost: Stage) -> Stage:
    """Makes each stage with the next stage as its argument; the first stage is the outermost."""
    stage = innermost
    for make in reversed(stages):
        stage = make(stage)
    return stage

"""Stage: leaves TorchServe alone while it cannot be reached."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from torchserve_gateway.gateway.prediction.circuit import Circuit
from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    NotConnectedError,
    TorchServeError,
    UnreachableError,
)
from torchserve_gateway.torchserve_api.inference import Job, Prediction

# They do not tell whether TorchServe is reached: the client's deadline, or its request.
TELL_NOTHING = (DeadlineExceededError, InvalidRequestError)
PING_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """Passes jobs on while the circuit is closed, and tells it how they ended."""

    circuit: Circuit
    ping: Callable[[float], Awaitable[bytes]]
    """Asks TorchServe for its health, within seconds."""
    next_stage: Stage

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """As `Stage.predict`.

        Raises:
            UpstreamDownError: TorchServe was not asked.
        """
        self.circuit.admit()
        try:
            prediction = await self.next_stage.predict(job, context)
        except NotConnectedError:
            self.circuit.failed()
            raise
        except UnreachableError:
            # A request can be the reason why its own connection died while TorchServe answers others.
            await self._ask_for_health()
            raise
        except TELL_NOTHING:
            raise
        except TorchServeError:
            self.circuit.answered()
            raise
        self.circuit.answered()
        return prediction

    async def _ask_for_health(self) -> None:
        try:
            await self.ping(PING_TIMEOUT_S)
        except UnreachableError:
            self.circuit.failed()
        except TELL_NOTHING:
            pass
        except TorchServeError:
            self.circuit.answered()
        else:
            self.circuit.answered()

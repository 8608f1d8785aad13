"""The context of one request: made by the outermost middleware, passed as an argument from the route on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic

from starlette.types import Scope

from torchserve_gateway.torchserve_api.inference import Prediction

SCOPE_KEY = "context"


@dataclass(slots=True)
class RequestContext:
    """Facts about one request.

    Stages read it; of its fields they write `version` alone. Whatever else a stage learns travels back in
    the Prediction. Log line, metrics, Server-Timing and trace read the context when the answer is sent.
    """

    request_id: str
    """The client's `X-Request-ID` if it is sane, else a new id."""
    client: str = ""
    """Address that the request comes from."""
    cache_control: str = ""
    """The client's `Cache-Control`."""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    """Values of the request's headers by lower-case name; of several values the first."""
    started: float = field(default_factory=monotonic)
    """When the request's head was read, by `monotonic`."""

    deadline: float = math.inf
    """When the answer must be there, by `monotonic`; set by the route."""
    routing_key: str = ""
    """Requests with the same key stay with one version; set by the route."""
    requested_version: str | None = None
    """The version that the client named; None leaves the choice to the gateway."""

    model: str | None = None
    """Model that the request is for."""
    version: str | None = None
    """The requested version, then the chosen version, then the version that answered; of a batch, all."""
    answers: list[Prediction] = field(default_factory=list)
    """Answers of jobs that were sent for this request; kept and shared ones are not among them."""
    torchserve_s: float | None = None
    """Seconds with TorchServe; of a batch from the start of the first image to the end of the last."""
    torchserve_request_id: str | None = None
    """TorchServe's own id of the job."""
    cache: str | None = None
    """Result of the response cache; None for a batch."""
    caller: str | None = None
    """Name of the API key."""
    rate_limits: dict[str, str] = field(default_factory=dict)
    """State of each limit by its policy, both as in their headers."""
    status: int = 500
    """HTTP status of the answer."""
    error: str | None = None
    """For the log."""
    error_type: str | None = None
    """Class of the exception, for the metrics."""

    def header(self, name: bytes) -> str | None:
        """Value of a header of the request; None without it."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def elapsed_s(self) -> float:
        """Seconds since the request's head was read."""
        return monotonic() - self.started

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self.deadline - monotonic()

    @property
    def stages_s(self) -> dict[str, float]:
        """Seconds by stage so far; they add up. `gateway` is the rest."""
        others = (
            self.answers[0].stages_s if len(self.answers) == 1 else {"torchserve": self.torchserve_s or 0.0}
        )
        return {"gateway": self.elapsed_s - sum(others.values()), **others}

    @property
    def server_timing(self) -> str:
        """Value of the header Server-Timing."""
        return ", ".join(f"{stage};dur={seconds * 1000:.1f}" for stage, seconds in self.stages_s.items())

    def ask_for(self, version: str | None) -> None:
        """Notes the version that the client named."""
        self.requested_version = self.version = version

    def count(self, prediction: Prediction) -> None:
        """Notes one answer; a batch has several."""
        if prediction.admission_s is not None:
            self.answers.append(prediction)

    def answer_with(self, prediction: Prediction) -> None:
        """Notes the only answer."""
        self.count(prediction)
        self.version = prediction.version
        self.torchserve_s = prediction.torchserve_s
        self.torchserve_request_id = prediction.torchserve_request_id
        self.cache = prediction.cache

    def detached(self, allowed_s: float) -> "RequestContext":
        """The context of a job that may outlive its request: the same facts, and a deadline of its own."""
        return RequestContext(
            self.request_id,
            deadline=monotonic() + allowed_s,
            routing_key=self.routing_key,
            requested_version=self.requested_version,
        )


def context_of(scope: Scope) -> RequestContext:
    """The context that the middleware put into an ASGI scope."""
    context = scope[SCOPE_KEY]
    assert isinstance(context, RequestContext)
    return context

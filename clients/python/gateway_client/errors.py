"""What a call may end in besides an answer.

GatewayClientError
  UnreachableError         the gateway could not be connected to, or the connection broke
  DeadlineError            the call's deadline was over
  InvalidAnswerError       something answered that is no such gateway
  UnreadableImageError     an image that cannot be read, or is over the byte budget and cannot be decoded
  ProblemError             the gateway answered with problem details
    RefusedError           4xx: the request is wrong; asking again does not help
      UnauthorizedError    401, 403
      RateLimitedError     429
    FailedError            5xx
      OverloadedError      503
"""

from collections.abc import Mapping
from dataclasses import dataclass


class GatewayClientError(Exception):
    """Anything that keeps a call from its answer."""


class UnreachableError(GatewayClientError):
    """The gateway could not be connected to, or the connection broke before the answer was complete."""


class DeadlineError(GatewayClientError):
    """The deadline was over before there was an answer, pauses and further attempts included."""


class InvalidAnswerError(GatewayClientError):
    """The answer is not what the gateway answers, so the URL may be wrong."""


class UnreadableImageError(GatewayClientError):
    """The image cannot be read, or is over the byte budget and cannot be decoded to be shrunk."""


@dataclass(frozen=True)
class Problem:
    """RFC 9457 problem details, as docs/api.md lists them. request_id: None for one image of a batch."""

    status: int
    type: str
    detail: str
    request_id: str | None

    @classmethod
    def of(cls, document: Mapping[str, object]) -> "Problem":
        """Reads one.

        Raises:
            InvalidAnswerError: a key is missing.
        """
        try:
            request_id = document.get("request_id")
            return cls(
                int(str(document["status"])),
                str(document["type"]),
                str(document["detail"]),
                str(request_id) if request_id is not None else None,
            )
        except (KeyError, ValueError) as exc:
            raise InvalidAnswerError(f"no problem details: {document}") from exc


class ProblemError(GatewayClientError):
    """An error that the gateway tells. retry_after_s: when it asks to be asked again, None if it does not."""

    def __init__(self, problem: Problem, retry_after_s: float | None = None) -> None:
        super().__init__(f"{problem.status}: {problem.detail}")
        self.problem = problem
        self.retry_after_s = retry_after_s


class RefusedError(ProblemError):
    """4xx: the request or its image is wrong, or not allowed."""


class UnauthorizedError(RefusedError):
    """No key, a wrong one, or one without that right."""


class RateLimitedError(RefusedError):
    """More requests than this key or address may send, also after the pauses that were asked for."""


class FailedError(ProblemError):
    """5xx: the trouble is on the other side."""


class OverloadedError(FailedError):
    """503: full, stopping, or no worker, also after the pauses that were asked for."""


_BY_STATUS: Mapping[int, type[ProblemError]] = {
    401: UnauthorizedError,
    403: UnauthorizedError,
    429: RateLimitedError,
    503: OverloadedError,
}


def problem_error(problem: Problem, retry_after_s: float | None = None) -> ProblemError:
    """The subclass that fits."""
    kind = _BY_STATUS.get(problem.status, RefusedError if problem.status < 500 else FailedError)
    return kind(problem, retry_after_s)

"""How long a request may take."""

import math

from starlette.requests import Request

from torchserve_gateway.gateway.errors import MalformedRequestError
from torchserve_gateway.settings.gateway import GatewaySettings

HEADER = "X-Request-Timeout"


def deadline_of(request: Request, longest_s: float) -> float:
    """Seconds from the request's head to its answer: what the client asks for, at most `longest_s`.

    Raises:
        MalformedRequestError: it asks for something that is no time.
    """
    asked = request.headers.get(HEADER)
    if asked is None:
        return longest_s
    try:
        seconds = float(asked)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise MalformedRequestError(f"{HEADER} is {asked!r}; send seconds above 0, for example 2.5")
    return min(seconds, longest_s)


def body_timeout_of(request: Request, settings: GatewaySettings) -> float:
    """Seconds from the request's head to the last byte of its body.

    Raises:
        MalformedRequestError: see `deadline_of`.
    """
    return min(settings.body_timeout_s, deadline_of(request, settings.deadline_s))

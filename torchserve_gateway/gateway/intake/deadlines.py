"""The deadline that a client asks for."""

import math

from torchserve_gateway.gateway.errors import MalformedRequestError

HEADER = "X-Request-Timeout"
RAW_HEADER = HEADER.lower().encode()


def allowed_s(asked: str | None, longest_s: float) -> float:
    """Seconds from the request's head to its answer: as the client asks, at most `longest_s`.

    asked: Value of the header; None without it.

    Raises:
        MalformedRequestError: the header is no positive number.
    """
    if asked is None:
        return longest_s
    try:
        seconds = float(asked)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise MalformedRequestError(f"{HEADER} is {asked!r}; send seconds above 0, for example 2.5")
    return min(seconds, longest_s)

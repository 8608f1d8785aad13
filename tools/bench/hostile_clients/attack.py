"""Attacks and their allowed answers."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tools.bench.hostile_clients.wire import CLOSED, Target

REFUSED = frozenset({400, 404, 405, 413, 414, 415, 422, 431})
"""Statuses that blame the client."""
TIMED_OUT = frozenset({408, CLOSED})
"""Outcomes of a slow client; a client that sends nothing gets no answer."""
NOT_OFFERED = frozenset({501, 505})
"""RFC 9110: unknown method or transfer coding, and unknown version of HTTP."""


@dataclass(frozen=True)
class Attack:
    """A kind of hostile requests."""

    name: str
    play: Callable[[Target], Awaitable[Counter[int]]]
    """Plays a round and returns its statuses."""
    allowed: frozenset[int]
    """Statuses that the gateway may answer."""

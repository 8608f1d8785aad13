"""What an attack is, and what it may be answered."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tools.bench.hostile_clients.wire import CLOSED, Target

REFUSED = frozenset({400, 404, 405, 413, 414, 415, 422, 431})
"""What says that the client is wrong."""
TIMED_OUT = frozenset({408, CLOSED})
"""What a client gets that is too slow; before it says a word, no answer."""
NOT_OFFERED = frozenset({501, 505})
"""RFC 9110 for a method or a transfer coding, and for a version of HTTP, that a server does not know."""


@dataclass(frozen=True)
class Attack:
    """play: one round, which returns how its requests were answered; allowed: the statuses that may come."""

    name: str
    play: Callable[[Target], Awaitable[Counter[int]]]
    allowed: frozenset[int]

"""Ports without a listener, so that a stack can run beside another stack."""

import random
import socket
from collections.abc import Sequence
from contextlib import ExitStack

# Below the range from which Linux takes the ports of outgoing connections: such a port may be taken
# between choosing it here and listening on it.
CANDIDATES = range(20_000, 32_000)
# The usual generator may be seeded alike in processes that run side by side.
RANDOM = random.SystemRandom()


def free_ports(count: int, candidates: Sequence[int] = CANDIDATES) -> list[int]:
    """Different free loopback ports of these candidates."""
    found: list[int] = []
    with ExitStack() as stack:
        first = RANDOM.randrange(len(candidates))
        for port in (*candidates[first:], *candidates[:first]):
            if len(found) == count:
                break
            try:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                continue
    return found

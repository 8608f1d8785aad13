"""Ports without a listener, so that a stack can run beside another stack."""

import random
import socket
from contextlib import ExitStack

# Below the range from which Linux takes the ports of outgoing connections: such a port may be taken
# between choosing it here and listening on it.
CANDIDATES = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Different free loopback ports."""
    found: list[int] = []
    with ExitStack() as stack:
        for port in random.sample(CANDIDATES, k=len(CANDIDATES)):
            if len(found) == count:
                break
            try:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                continue
    return found

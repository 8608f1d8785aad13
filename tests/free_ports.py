"""Ports nobody listens on, so that tests run beside a stack that does."""

import os
import random
import socket
from contextlib import ExitStack

# Below the range from which Linux takes the ports of outgoing connections: one of those may be taken
# between choosing it here and listening to it.
CANDIDATES = range(20_000, 32_000)
# pytest-randomly seeds the usual generator alike in all parallel workers.
RANDOM = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """Different free loopback ports, which no parallel worker of the same test run chooses."""
    found: list[int] = []
    candidates = _own_candidates()
    with ExitStack() as stack:
        for port in RANDOM.sample(candidates, k=len(candidates)):
            if len(found) == count:
                break
            try:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                continue
    return found


def _own_candidates() -> range:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return CANDIDATES[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]

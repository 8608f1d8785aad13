"""Free ports that no parallel worker of the same test run chooses."""

import os

from torchserve_gateway.local_stack import free_ports as chosen


def free_ports(count: int) -> list[int]:
    """Different free loopback ports of this worker's share."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return chosen.free_ports(count, chosen.CANDIDATES[worker::workers])

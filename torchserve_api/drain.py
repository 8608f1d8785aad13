"""Waits until a version that is no longer the default has nothing left to do.

TorchServe leaves requests without an answer, on an open connection, that wait in a version when it is
unregistered.
"""

import asyncio
import logging

from torchserve_api.management import ManagementClient

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.25
# An empty queue says nothing of the batches that run; this is longer than one takes.
SETTLE_S = 2.0


async def drain(management: ManagementClient, model: str, version: str, timeout_s: float) -> None:
    """Returns when the version's queue has stayed empty for a while, or with a warning after timeout_s.

    Raises:
        TorchServeError: the queue cannot be asked for.
    """
    clock = asyncio.get_running_loop().time
    started = idle_since = clock()
    while clock() - started < timeout_s:
        queue = (await management.describe(model, version))[0].job_queue_status
        if queue is None or queue.pending_requests:
            idle_since = clock()
        elif clock() - idle_since >= SETTLE_S:
            return
        await asyncio.sleep(POLL_INTERVAL_S)
    logger.warning("%s %s still has requests after %g s; they are lost", model, version, timeout_s)

"""Waits until a version that no request reaches any more has nothing left to do.

TorchServe leaves requests without an answer, on an open connection, that wait or run in a version when it
is unregistered. Its queue is asked for, but says nothing of batches that run; the gateways say how many
of their requests wait for an answer.
"""

import asyncio
import logging
from collections.abc import Sequence
from time import monotonic

from torchserve_gateway.record.reports import Gateways
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError, UnreachableError
from torchserve_gateway.torchserve_api.management import ManagementClient

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.25


async def drain(
    replicas: Sequence[TorchServe],
    gateways: Gateways,
    model: str,
    version: str,
    revision: int,
    timeout_s: float,
    unreported_s: float,
    settle_s: float,
) -> None:
    """Returns when all gateways follow `revision` and nothing waits for the version, or after timeout_s.

    unreported_s: how long nothing must be queued where no gateway reports, or one fell silent: as long as a
    request may take; settle_s: how long nothing must be left otherwise.

    Raises:
        TorchServeError: a queue cannot be asked for.
    """
    started = idle_since = monotonic()
    busy = "it was not looked at"
    while monotonic() - started < timeout_s:
        busy = await _work_left(replicas, gateways, model, version, revision)
        if busy:
            idle_since = monotonic()
        elif monotonic() - idle_since >= settle_s:
            if gateways.live() and not gateways.lost_within(unreported_s):
                return
            if monotonic() - idle_since >= unreported_s:
                return
        await asyncio.sleep(POLL_INTERVAL_S)
    logger.warning(
        "%s %s is retired after drain_timeout_s = %g s, what is left is lost: %s",
        model,
        version,
        timeout_s,
        busy,
    )


async def _work_left(
    replicas: Sequence[TorchServe], gateways: Gateways, model: str, version: str, revision: int
) -> str:
    """What the version still has to do, empty if nothing."""
    behind = sum(report.revision < revision for report in gateways.live().values())
    if behind:
        return f"{behind} gateways still send requests to it"
    in_flight = gateways.in_flight(model, version)
    if in_flight:
        return f"{in_flight} requests of gateways are in flight"
    queued = await asyncio.gather(*(_queued(each.management, model, version) for each in replicas))
    return f"{sum(queued)} requests are queued" if sum(queued) else ""


async def _queued(management: ManagementClient, model: str, version: str) -> int:
    try:
        queue = (await management.describe(model, version))[0].job_queue_status
    # A replica that is gone or came back without the version has no request of it.
    except (ModelNotFoundError, UnreachableError):
        return 0
    return queue.pending_requests if queue else 0

"""Waits until a version without new requests has finished its last request.

TorchServe never answers requests that wait or run in a version when it is unregistered; their connections
stay open. Its queue length leaves out batches that run, so the gateways report their requests in flight.
"""

import asyncio
import logging
from time import monotonic

from torchserve_gateway.deployment.plan import Deployment, Target
from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError, UnreachableError
from torchserve_gateway.torchserve_api.management import ManagementClient

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.25


async def drain(deployment: Deployment, target: Target, version: str, revision: int) -> None:
    """Returns when all gateways follow `revision` and the version is idle, or after drain_timeout_s.

    Idle: no work for settle_s; for deadline_s, as long as a request may take, where no gateway reports or a
    gateway fell silent.

    Raises:
        TorchServeError: a queue cannot be read.
    """
    started = idle_since = monotonic()
    work = "not looked at"
    with waiting(
        f"the last requests of {deployment.model} {version}", limit_s=deployment.drain_timeout_s
    ) as wait:
        while monotonic() - started < deployment.drain_timeout_s:
            work = await _work_left(deployment.model, target, version, revision)
            wait.state = work or "idle"
            if work:
                idle_since = monotonic()
            elif monotonic() - idle_since >= deployment.settle_s:
                reported = target.gateways.live() and not target.gateways.lost_within(deployment.deadline_s)
                if reported or monotonic() - idle_since >= deployment.deadline_s:
                    return
            await asyncio.sleep(POLL_INTERVAL_S)
    logger.warning(
        "%s %s is retired after drain_timeout_s = %g s; its remaining work is lost: %s",
        *(deployment.model, version, deployment.drain_timeout_s, work),
    )


async def _work_left(model: str, target: Target, version: str, revision: int) -> str:
    """The work that the version has, in words; empty if it is idle."""
    gateways = target.gateways
    behind = sum(report.revision < revision for report in gateways.live().values())
    if behind:
        return f"{behind} gateways still send requests to it"
    in_flight = gateways.in_flight(model, version)
    if in_flight:
        return f"{in_flight} requests of gateways are in flight"
    queued = await asyncio.gather(*(_queued(each.management, model, version) for each in target.replicas))
    return f"{sum(queued)} requests are queued" if sum(queued) else ""


async def _queued(management: ManagementClient, model: str, version: str) -> int:
    try:
        queue = (await management.describe(model, version))[0].job_queue_status
    # A replica that stopped, or restarted without the version, has no request of it.
    except (ModelNotFoundError, UnreachableError):
        return 0
    return queue.pending_requests if queue else 0

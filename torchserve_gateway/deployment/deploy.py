"""Runs a planned deploy: connects to all replicas and swaps the version in; upload and rollback share it."""

import asyncio
import signal

import httpx

from torchserve_gateway.deployment.plan import Deployment
from torchserve_gateway.deployment.swap import Swap
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeploymentRecord
from torchserve_gateway.settings.deployment import SwapSettings
from torchserve_gateway.torchserve_api.connection import TorchServe, reachable, replicas
from torchserve_gateway.torchserve_api.errors import TorchServeError, UnreachableError
from torchserve_gateway.torchserve_api.http_pool import PooledTransport


def deploy(settings: SwapSettings, record: DeploymentRecord, deployment: Deployment) -> str:
    """Deploys a version to all replicas; the caller holds the record's lock.

    Returns:
        a line that names the serving version.

    Raises:
        DeploymentError: the version was not deployed.
    """
    return asyncio.run(_deploy(settings, record, deployment))


async def _deploy(settings: SwapSettings, record: DeploymentRecord, deployment: Deployment) -> str:
    task = asyncio.current_task()
    assert task is not None
    # SIGTERM cancels as Ctrl-C does, so that an interrupted deploy is undone.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with PooledTransport() as http:
        found = await _replicas(settings, http)
        return await Swap(deployment, found, record).run()


async def _replicas(settings: SwapSettings, http: httpx.AsyncBaseTransport) -> list[TorchServe]:
    timeout_s = settings.torchserve.management_timeout_s
    try:
        found = await replicas(settings.torchserve, http)
        if settings.unreachable_replicas == "skip":
            return await reachable(found, timeout_s)
        for torchserve in found:
            await torchserve.inference.ping(timeout_s)
    except UnreachableError as exc:
        hint = "make status shows whether it runs, make up starts it"
        raise DeploymentError(f"nothing was changed: {exc}; {hint}") from exc
    except TorchServeError as exc:
        raise DeploymentError(f"nothing was changed: {exc}") from exc
    return found

"""What upload and rollback have in common: one deploy at a time, to all replicas, undone when interrupted."""

import asyncio
import signal

import httpx

from torchserve_gateway.deployment.archives.model_config import as_torchserve_will_run
from torchserve_gateway.deployment.archives.sources import Archive
from torchserve_gateway.deployment.golden_check import GoldenCheck, Sample
from torchserve_gateway.deployment.plan import Deployment
from torchserve_gateway.deployment.swap import Swap
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedVersion, DeploymentRecord
from torchserve_gateway.settings.deployment import SwapSettings
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.torchserve_api.connection import TorchServe, reachable, replicas
from torchserve_gateway.torchserve_api.errors import TorchServeError
from torchserve_gateway.torchserve_api.transport import new_client


def deploy(settings: SwapSettings, model: str, wanted: DeployedVersion, archive: Archive) -> str:
    """Swaps `wanted` in; the caller holds the record's lock.

    Returns:
        what serves now, in one line.

    Raises:
        DeploymentError: it was not deployed.
    """
    deadline_s = settings.gateway.deadline_s
    wanted = as_torchserve_will_run(model, wanted, archive.config, deadline_s)
    deployment = Deployment(
        model=model,
        wanted=wanted,
        url=archive.url,
        archive=archive.file,
        model_store=settings.torchserve.model_store,
        strategy=settings.strategy,
        check=_golden_check(settings.model, wanted.response_timeout),
        ready_timeout_s=settings.ready_timeout_s,
        drain_timeout_s=settings.drain_timeout_s,
        settle_s=settings.settle_s,
        deadline_s=deadline_s,
        keep_previous=settings.keep_previous,
    )
    return asyncio.run(_run(settings, deployment))


async def _run(settings: SwapSettings, deployment: Deployment) -> str:
    task = asyncio.current_task()
    assert task is not None
    # As Ctrl-C does already: cancelled, so that what is half done is undone.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with new_client(settings.torchserve) as client:
        found = await _replicas(settings, client)
        record = DeploymentRecord(settings.torchserve.deployments_dir)
        return await Swap(deployment, found, record).run()


async def _replicas(settings: SwapSettings, client: httpx.AsyncClient) -> list[TorchServe]:
    timeout_s = settings.torchserve.management_timeout_s
    try:
        found = await replicas(settings.torchserve, client)
        if settings.unreachable_replicas == "skip":
            return await reachable(found, timeout_s)
        for torchserve in found:
            await torchserve.inference.ping(timeout_s)
    except TorchServeError as exc:
        raise DeploymentError(f"nothing was changed: {exc}") from exc
    return found


def _golden_check(model: ModelSettings, deadline_s: float) -> GoldenCheck:
    samples = []
    for sample in model.samples:
        try:
            encoded = sample.image.read_bytes()
        except OSError as exc:
            raise DeploymentError(f"the sample image cannot be read: {exc}") from exc
        samples.append(Sample(sample.image, encoded, sample.expected_class, sample.probability))
    return GoldenCheck(samples, model.labels, model.sample_tolerance, deadline_s)

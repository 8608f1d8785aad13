"""Waits until the workers of a version answer or fail."""

import asyncio

from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.torchserve_api.descriptions import ModelVersion
from torchserve_gateway.torchserve_api.management import ManagementClient

POLL_INTERVAL_S = 0.25
# TorchServe restarts a worker that cannot load its model for up to five minutes.
MAX_WORKER_STARTS = 3


class WorkersNotReadyError(Exception):
    """The workers do not answer; the message continues a sentence about the version."""


async def until_ready(
    management: ManagementClient, model: str, version: str, workers: int, timeout_s: float
) -> ModelVersion:
    """Returns the version once `workers` of its workers are READY.

    Raises:
        WorkersNotReadyError: they are not READY within timeout_s, or die while they load.
        TorchServeError: TorchServe cannot be asked.
    """
    pids: dict[str, set[int]] = {}
    ready = 0
    try:
        with waiting(f"{model} {version}", limit_s=timeout_s) as wait:
            async with asyncio.timeout(timeout_s):
                while True:
                    described = (await management.describe(model, version))[0]
                    ready = described.ready_workers
                    wait.state = f"{ready} of {workers} workers READY"
                    if ready >= workers:
                        return described
                    for worker in described.workers:
                        pids.setdefault(worker.id, set()).add(worker.pid)
                    if any(len(each - {-1, 0}) >= MAX_WORKER_STARTS for each in pids.values()):
                        raise WorkersNotReadyError("its workers die while they load the model")
                    await asyncio.sleep(POLL_INTERVAL_S)
    except TimeoutError as exc:
        raise WorkersNotReadyError(
            f"{ready} of its {workers} workers were READY after {timeout_s:g} s"
        ) from exc

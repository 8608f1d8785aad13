"""Waits until the versions on record answer, which TorchServe loads at its start."""

import asyncio
import logging

from torchserve_gateway.record.record import DeployedVersion, DeploymentRecord
from torchserve_gateway.settings.torchserve import TorchServeSettings
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError, TorchServeError
from torchserve_gateway.torchserve_api.management import ManagementClient
from torchserve_gateway.torchserve_api.readiness import WorkersNotReadyError, until_ready
from torchserve_gateway.torchserve_api.worker_log import WorkerLog

logger = logging.getLogger(__name__)


class ModelNotReadyError(Exception):
    """The workers of a deployed version do not load; the message names the version and the reason."""


def wait_for_models(settings: TorchServeSettings) -> None:
    """Returns when the workers of every version on record are READY; the log says what is waited for.

    A version whose archive is gone is logged, and not waited for.

    Raises:
        ModelNotReadyError: a version is not READY within its startup_timeout.
        RecordError: the record cannot be read.
    """
    models = DeploymentRecord(settings.deployments_dir).read().models
    serving = {name: model.serving for name, model in sorted(models.items())}
    if serving:
        asyncio.run(_wait(settings, serving))


async def _wait(settings: TorchServeSettings, serving: dict[str, DeployedVersion]) -> None:
    torchserve, log = TorchServe.at(settings), WorkerLog(settings.log_dir, since_start=True)
    async with torchserve.http:
        waits = (_until_ready(torchserve.management, name, each, log) for name, each in serving.items())
        # Each has its own time, and the first failure is no reason to leave the others unsaid.
        results = await asyncio.gather(*waits, return_exceptions=True)
    problems = [each for each in results if isinstance(each, BaseException)]
    for problem in problems:
        if not isinstance(problem, ModelNotReadyError):
            raise problem
    if problems:
        raise ModelNotReadyError("; ".join(map(str, problems)))


async def _until_ready(
    management: ManagementClient, model: str, serving: DeployedVersion, log: WorkerLog
) -> None:
    version, timeout_s = serving.version, serving.startup_timeout
    try:
        described = (await management.describe(model, version))[0]
        # Not the number on record: someone may have scaled it since.
        workers = described.min_workers
        if described.ready_workers >= workers:
            return
        logger.info(
            "waiting for %s %s: %d of its %d workers are READY, startup_timeout is %d s",
            *(model, version, described.ready_workers, workers, timeout_s),
        )
        await until_ready(management, model, version, workers, timeout_s)
    except ModelNotFoundError:
        logger.error(
            "%s %s is on record, and TorchServe does not have it; make upload_model MODEL=%s VERSION=%s "
            "brings it back",
            *(model, version, model, version),
        )
    except (WorkersNotReadyError, TorchServeError) as exc:
        said = log.last_error(model, version)
        reason = f"; the handler's last error: {said}" if said else ""
        raise ModelNotReadyError(f"{model} {version} is not READY: {exc}{reason}") from exc
    else:
        logger.info("%s %s is READY", model, version)

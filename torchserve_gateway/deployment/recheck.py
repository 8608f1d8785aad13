"""Deploys a version that serves already: checks it again and registers it on replicas that lack it."""

import logging

from torchserve_gateway.deployment.archives.model_store import stage
from torchserve_gateway.deployment.parameters import as_described, refuse_differences
from torchserve_gateway.deployment.plan import Deployment, Target, naming_replica
from torchserve_gateway.deployment.registration import bring_up, check, workers_ready
from torchserve_gateway.deployment.undo import Changes
from torchserve_gateway.record.record import DeployedModel, DeployedVersion
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.versions import registered

logger = logging.getLogger(__name__)


async def recheck(deployment: Deployment, target: Target, serving: DeployedModel) -> None:
    """Checks the serving version on all replicas and makes it their default version.

    Raises:
        DeploymentError, TorchServeError: a replica has it with other parameters, or it fails its check.
    """
    runs = deployment.wanted
    # Not a change to undo: the record names the archive.
    if deployment.model_store and deployment.archive:
        stage(deployment.archive, runs.sha256, deployment.model_store)
    for torchserve in target.replicas:
        with naming_replica(torchserve, deployment):
            found = (await registered(torchserve.management, deployment.model)).get(runs.version)
            if found:
                refuse_differences(deployment.model, deployment.wanted, found)
                await workers_ready(torchserve, deployment, runs.initial_workers)
                await check(torchserve, deployment, as_described(runs, found))
            else:
                logger.warning("%s lacks %s %s", torchserve.name, deployment.model, runs.version)
                runs = await _bring_back(torchserve, deployment, target, runs, serving)
            await torchserve.management.set_default(deployment.model, runs.version)
    logger.info("%s %s serves already", deployment.model, runs.version)
    entry = {
        "serving": serving.serving.model_copy(update=runs.parameters()),
        "replicas": len(target.replicas),
    }
    target.record.write(deployment.model, serving.model_copy(update=entry))


async def _bring_back(
    torchserve: TorchServe,
    deployment: Deployment,
    target: Target,
    wanted: DeployedVersion,
    serving: DeployedModel,
) -> DeployedVersion:
    """Registers the serving version on a replica that lacks it; a failure is undone there alone."""
    changes = Changes(deployment, target, served=True)
    async with changes.undone_unless_kept(None):
        with changes.registering(torchserve):
            runs = await bring_up(torchserve, deployment, wanted, serving)
        await check(torchserve, deployment, runs)
        changes.keep()
    return runs

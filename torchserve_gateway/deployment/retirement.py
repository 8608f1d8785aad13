"""Retires versions that get no more requests: drained, unregistered, archives removed."""

import logging

from torchserve_gateway.deployment.archives.model_store import unstage_unused
from torchserve_gateway.deployment.drain import drain
from torchserve_gateway.deployment.plan import Deployment, Target
from torchserve_gateway.deployment.registration import registered_when_back, remove
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedModel
from torchserve_gateway.torchserve_api.descriptions import ModelVersion
from torchserve_gateway.torchserve_api.errors import TorchServeError

logger = logging.getLogger(__name__)


async def retire_others(deployment: Deployment, target: Target, before: DeployedModel | None) -> None:
    """Drains and unregisters all versions but the deployed version.

    Args:
        deployment: the plan.
        target: its place.
        before: the model's entry in the record before the deploy.

    Raises:
        DeploymentError: the deployed version serves, but others are still registered.
    """
    model = deployment.model
    try:
        others = await _others(deployment, target)
        for version in others:
            await _retire(deployment, target, version)
    except TorchServeError as exc:
        raise DeploymentError(
            f"{model} {deployment.wanted.version} serves, but retiring the others failed: {exc}"
        ) from exc
    record = target.record
    record.write(model, record.read().models[model].model_copy(update={"retiring": ()}))
    unstage_unused(_archives_of_deploys(before, others), record.read(), deployment.model_store)


async def _others(deployment: Deployment, target: Target) -> dict[str, ModelVersion]:
    found: dict[str, ModelVersion] = {}
    for torchserve in target.replicas:
        found |= await registered_when_back(torchserve, deployment.model)
    return {version: each for version, each in found.items() if version != deployment.wanted.version}


async def _retire(deployment: Deployment, target: Target, version: str) -> None:
    model = deployment.model
    serving = target.record.read().models[model]
    retiring = tuple({*serving.retiring, version})
    revision = target.record.write(model, serving.model_copy(update={"retiring": retiring}))
    await drain(deployment, target, version, revision)
    for torchserve in target.replicas:
        await remove(torchserve, model, version)
    logger.info("retired %s %s", model, version)


def _archives_of_deploys(before: DeployedModel | None, retired: dict[str, ModelVersion]) -> set[str]:
    """Archives that deploys put into the model store; others belong to the people who put them there."""
    if before is None:
        return set()
    on_record = {each.archive for each in (before.serving, *before.previous) if not each.adopted}
    return on_record | {each.archive_name for version, each in retired.items() if version in before.retiring}

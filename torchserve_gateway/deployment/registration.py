"""One version on a TorchServe: registered beside the others, READY, checked; or removed again."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import stamina

from torchserve_gateway.deployment.parameters import running
from torchserve_gateway.deployment.plan import Deployment, Target
from torchserve_gateway.downloads import without_credentials
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedModel, DeployedVersion
from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.descriptions import ModelVersion
from torchserve_gateway.torchserve_api.errors import (
    ArchiveExistsError,
    TorchServeError,
    UnreachableError,
    VersionConflictError,
)
from torchserve_gateway.torchserve_api.readiness import WorkersNotReadyError, until_ready
from torchserve_gateway.torchserve_api.versions import registered

logger = logging.getLogger(__name__)

# A killed TorchServe restarts within this time, if at all.
RESTART_S = 30


async def refuse_if_registered(deployment: Deployment, target: Target, before: DeployedModel | None) -> None:
    """Looks at all replicas before any is changed; removes the version where it is left from a retirement.

    Raises:
        DeploymentError: the version was registered by other means, so it may have requests.
        TorchServeError: a replica gives no valid answer.
    """
    model, version = deployment.model, deployment.wanted.version
    for torchserve in target.replicas:
        found = await registered(torchserve.management, model)
        there = ", ".join(f"{model} {each}" for each in found)
        logger.info("%s: found %s", torchserve.name, there or f"no version of {model}")
        if version not in found:
            continue
        if before and version in before.retiring:
            logger.warning("%s: %s %s was not retired; removing it", torchserve.name, model, version)
            await torchserve.management.unregister(model, version)
            continue
        other = found[version]
        raise DeploymentError(
            f"nothing was changed: {torchserve.name} has {model} {version} already, from "
            f"{other.archive_name} with {other.ready_workers} workers READY, and no deploy on record put "
            "it there; take another VERSION, or unregister it first: "
            f'make manage ARGS="unregister {model} {version}"'
        )


async def bring_up(
    torchserve: TorchServe,
    deployment: Deployment,
    wanted: DeployedVersion,
    before: DeployedModel | None,
    *,
    at_once: bool,
) -> DeployedVersion:
    """Registers a version and returns when its workers are READY.

    Args:
        torchserve: the replica.
        deployment: the plan.
        wanted: the version with the parameters to register.
        before: the model's entry in the record.
        at_once: whether all workers load at the same time.

    Returns:
        the version with the parameters that TorchServe runs.

    Raises:
        VersionConflictError: another client registered the version.
        DeploymentError, TorchServeError: it is not READY, or its parameters do not suit the gateway; it may
            still be registered.
    """
    management, model, version = torchserve.management, deployment.model, wanted.version
    others = set(await registered(management, model))
    status = await _register(torchserve, deployment, wanted, before)
    source = without_credentials(deployment.url)
    logger.info("%s: registering %s %s from %s: %s", torchserve.name, model, version, source, status)
    started = await _started_workers(torchserve, deployment, others)
    most = max(started, wanted.initial_workers)
    # In turn: each worker takes a core while it loads, which versions that serve need, too.
    steps = [most] if at_once else range(started, most + 1)
    for workers in steps:
        if workers > started:
            await management.scale(model, version, {"min_worker": workers, "max_worker": workers})
        await workers_ready(torchserve, deployment, workers)
    described = (await management.describe(model, version))[0]
    logger.info("%s: %d workers of %s %s READY", torchserve.name, described.min_workers, model, version)
    return running(f"{torchserve.name}: {model} {version}", wanted, described, deployment.deadline_s)


async def workers_ready(torchserve: TorchServe, deployment: Deployment, workers: int) -> None:
    """Returns when this many workers of the version are READY.

    Raises:
        DeploymentError: they are not within ready_timeout_s, or they die while they load.
        TorchServeError: TorchServe gives no valid answer.
    """
    version, timeout_s = deployment.wanted.version, deployment.ready_timeout_s
    try:
        await until_ready(torchserve.management, deployment.model, version, workers, timeout_s)
    except WorkersNotReadyError as exc:
        raise deployment.failed(deployment.explained(exc)) from exc


@stamina.retry(on=UnreachableError, attempts=None, timeout=RESTART_S, wait_initial=0.5, wait_max=2)
async def registered_when_back(torchserve: TorchServe, model: str) -> dict[str, ModelVersion]:
    """All registered versions of a model; waits for a TorchServe that is restarting.

    Raises:
        TorchServeError: it does not come back, or gives no valid answer.
    """
    return await registered(torchserve.management, model)


async def remove(torchserve: TorchServe, model: str, version: str) -> None:
    """Unregisters a version, if it is registered; waits for a TorchServe that is restarting.

    Raises:
        TorchServeError: it may still be registered.
    """
    with waiting(f"{torchserve.name} to remove {model} {version}"):
        if version not in await registered_when_back(torchserve, model):
            return
        status = await torchserve.management.unregister(model, version)
        logger.info("%s: removed %s %s: %s", torchserve.name, model, version, status)


async def remove_everywhere(replicas: list[TorchServe], model: str, version: str) -> tuple[str, ...]:
    """Unregisters a version from all replicas. Failures are logged.

    Returns:
        the names of replicas on which it may still be registered.
    """
    left = []
    for torchserve in replicas:
        try:
            await remove(torchserve, model, version)
        except TorchServeError as exc:
            logger.error("%s: %s %s may still be registered: %s", torchserve.name, model, version, exc)
            left.append(torchserve.name)
    return tuple(left)


async def _register(
    torchserve: TorchServe, deployment: Deployment, wanted: DeployedVersion, before: DeployedModel | None
) -> str:
    management, model = torchserve.management, deployment.model
    parameters = {**wanted.parameters(), "initial_workers": 1}
    try:
        with waiting(f"{torchserve.name} to register {model} {wanted.version}"):
            return await _answered(management.register(model, {"url": deployment.url, **parameters}))
    except ArchiveExistsError as exc:
        # TorchServe removes a download with its version, but not if it restarted in between.
        on_record = (before.serving, *before.previous) if before else ()
        if not any((each.archive, each.sha256) == (wanted.archive, wanted.sha256) for each in on_record):
            raise deployment.failed(
                f"TorchServe's model store holds another {wanted.archive}; remove it there or give the new "
                "archive another file name"
            ) from exc
        logger.info("TorchServe still has %s", wanted.archive)
        return await _answered(management.register(model, {"url": wanted.archive, **parameters}))


async def _answered(registration: Coroutine[Any, Any, str]) -> str:
    """Awaits a registration to its end, also in a deploy that is interrupted: TorchServe does not stop it.

    Raises:
        VersionConflictError: there was nothing to undo.
    """
    task = asyncio.create_task(registration)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if isinstance(failure := task.exception(), VersionConflictError):
            raise failure from None
        raise


async def _started_workers(torchserve: TorchServe, deployment: Deployment, others: set[str]) -> int:
    """The number of workers that the registration started; `others` were registered before."""
    management, model, wanted = torchserve.management, deployment.model, deployment.wanted
    after = await registered(management, model)
    new = set(after) - others
    if new != {wanted.version}:
        for other in new:
            await management.unregister(model, other)
        raise deployment.failed(
            f"{wanted.archive} is no model archive or one of version {', '.join(sorted(new)) or 'unknown'}"
        )
    return max(after[wanted.version].min_workers, 1)

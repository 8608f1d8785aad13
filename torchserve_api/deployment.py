"""Swaps one version of a model for another while requests keep coming.

Registered beside the old one -> workers READY -> sample answered right -> default -> old one drained ->
old one unregistered. Until the new version is the default, any failure removes it and changes nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from torchserve_api.deployed import DeployedModel, record_deployed
from torchserve_api.descriptions import ModelVersion
from torchserve_api.drain import drain
from torchserve_api.errors import ModelNotFoundError, TorchServeError
from torchserve_api.management import ManagementClient
from torchserve_api.model_store import ModelStoreError, stage, unstage

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.25
# A worker that cannot load its model is started again and again, for up to five minutes.
MAX_WORKER_STARTS = 3


class DeploymentError(Exception):
    """The swap failed; the message says why and what serves now."""


@dataclass(frozen=True)
class Deployment:
    """What to deploy.

    url: what TorchServe is to load, a file name in its model store or a URL; archive: the local file to put
    there under that name, None for a URL; model_store: None where TorchServe's is not on our disk, then
    nothing is put there or recorded.
    """

    model: str
    url: str
    archive: Path | None
    wanted: DeployedModel
    model_store: Path | None
    ready_timeout_s: float
    drain_timeout_s: float


Check = Callable[[str, str], Awaitable[None]]
"""Gets a model's name and version; raises DeploymentError if that version does not answer as it should."""


async def swap_version(management: ManagementClient, deployment: Deployment, check: Check) -> None:
    """Makes `deployment` the version that serves and retires all others.

    Deploying what already serves only checks it again.

    Raises:
        DeploymentError: it failed; what served before still serves, unless the message says otherwise.
    """
    name, version = deployment.model, deployment.wanted.version
    try:
        found = await _versions(management, name)
        logger.info("found %s", ", ".join(f"{name} {each}" for each in found) or f"no version of {name}")
        if version in found and await _is_default(management, name, version):
            _refuse_differences(deployment, found[version])
            _stage(deployment)
            await _until_ready(management, deployment)
            await check(name, version)
            logger.info("%s %s serves already", name, version)
        else:
            await _bring_up(management, deployment, check, found)
        _record(deployment)
    except (TorchServeError, ModelStoreError, OSError) as exc:
        raise DeploymentError(f"{name} {version} was not deployed: {exc}") from exc
    for old in found.values():
        if old.model_version != version:
            await _retire(management, deployment, old)


async def _versions(management: ManagementClient, name: str) -> dict[str, ModelVersion]:
    try:
        return {each.model_version: each for each in await management.describe(name, "all")}
    except ModelNotFoundError:
        return {}


async def _is_default(management: ManagementClient, name: str, version: str) -> bool:
    return (await management.describe(name))[0].model_version == version


def _refuse_differences(deployment: Deployment, serving: ModelVersion) -> None:
    wanted = deployment.wanted
    pairs = {
        "batch_size": (serving.batch_size, wanted.batch_size),
        "max_batch_delay": (serving.max_batch_delay, wanted.max_batch_delay),
        "initial_workers": (serving.min_workers, wanted.initial_workers),
        "response_timeout": (serving.response_timeout, wanted.response_timeout),
    }
    differing = [f"{key}={now}, not {then}" for key, (now, then) in pairs.items() if now != then]
    if differing:
        raise DeploymentError(
            f"{deployment.model} {wanted.version} serves with {', '.join(differing)}; "
            "a version keeps its parameters, so deploy the new ones as a new VERSION"
        )


async def _bring_up(
    management: ManagementClient, deployment: Deployment, check: Check, found: dict[str, ModelVersion]
) -> None:
    """Registers the new version, proves that it answers, makes it the default; or it is gone again."""
    name, wanted = deployment.model, deployment.wanted
    if wanted.version in found:
        logger.warning("%s %s is registered but does not serve; removing it first", name, wanted.version)
        logger.info("removed: %s", await management.unregister(name, wanted.version))
        del found[wanted.version]
    parameters = wanted.model_dump(
        include={"batch_size", "max_batch_delay", "initial_workers", "response_timeout", "startup_timeout"}
    )
    _stage(deployment)
    try:
        status = await management.register(name, {"url": deployment.url, **parameters})
        logger.info("registering %s %s from %s: %s", name, wanted.version, deployment.url, status)
        new = set(await _versions(management, name)) - set(found)
        if new != {wanted.version}:
            raise DeploymentError(
                f"{name} {wanted.version} was not deployed: {deployment.url} is no model archive "
                f"or one of version {', '.join(sorted(new))}"
            )
        await _until_ready(management, deployment)
        await check(name, wanted.version)
        logger.info("default: %s", await management.set_default(name, wanted.version))
    # Also a deploy that is interrupted must not leave half a version behind.
    except BaseException:
        await _remove(management, deployment, found)
        raise


async def _until_ready(management: ManagementClient, deployment: Deployment) -> None:
    name, wanted = deployment.model, deployment.wanted
    pids: dict[str, set[int]] = {}
    try:
        async with asyncio.timeout(deployment.ready_timeout_s):
            while True:
                described = (await management.describe(name, wanted.version))[0]
                if described.ready_workers >= wanted.initial_workers:
                    logger.info("%d of %d workers READY", described.ready_workers, wanted.initial_workers)
                    return
                for worker in described.workers:
                    pids.setdefault(worker.id, set()).add(worker.pid)
                if any(len(each - {-1, 0}) >= MAX_WORKER_STARTS for each in pids.values()):
                    raise DeploymentError(
                        f"{name} {wanted.version} was not deployed: its workers die while they load the "
                        "model; the reason is in TorchServe's model_log.log"
                    )
                await asyncio.sleep(POLL_INTERVAL_S)
    except TimeoutError as exc:
        raise DeploymentError(
            f"{name} {wanted.version} was not deployed: its workers were not READY "
            f"within {deployment.ready_timeout_s:g} s"
        ) from exc


async def _remove(
    management: ManagementClient, deployment: Deployment, found: dict[str, ModelVersion]
) -> None:
    """Takes away whatever the failed registration left, so that only `found` remains."""
    name = deployment.model
    try:
        for version in set(await _versions(management, name)) - set(found):
            logger.info("removed: %s", await management.unregister(name, version))
    except TorchServeError as exc:
        logger.error("%s %s may still be registered: %s", name, deployment.wanted.version, exc)
    if deployment.model_store:
        unstage(deployment.wanted.archive, deployment.model_store)


async def _retire(management: ManagementClient, deployment: Deployment, old: ModelVersion) -> None:
    name, version = deployment.model, old.model_version
    try:
        await drain(management, name, version, deployment.drain_timeout_s)
        logger.info("retired %s %s: %s", name, version, await management.unregister(name, version))
    except TorchServeError as exc:
        raise DeploymentError(
            f"{name} {deployment.wanted.version} serves, but retiring {version} failed: {exc}"
        ) from exc
    if deployment.model_store and old.archive_name != deployment.wanted.archive:
        unstage(old.archive_name, deployment.model_store)


def _stage(deployment: Deployment) -> None:
    if deployment.model_store and deployment.archive:
        stage(deployment.archive, deployment.model_store)


def _record(deployment: Deployment) -> None:
    if deployment.model_store:
        record_deployed(deployment.model_store, deployment.model, deployment.wanted)

"""One version on one TorchServe: registered beside the others, READY, answering right; or gone again."""

import logging

import stamina

from deployment.errors import DeploymentError
from deployment.golden_check import GoldenCheck
from deployment.record import DeployedVersion
from torchserve_api.connection import TorchServe
from torchserve_api.descriptions import ModelVersion
from torchserve_api.errors import ModelNotFoundError, TorchServeError, UnreachableError
from torchserve_api.management import ManagementClient
from torchserve_api.readiness import WorkersNotReadyError, until_ready

logger = logging.getLogger(__name__)

# A TorchServe that was killed is started again within this time, if at all.
RESTART_S = 30


async def registered(management: ManagementClient, model: str) -> dict[str, ModelVersion]:
    """All versions of a model by name; empty if there is none."""
    try:
        return {each.model_version: each for each in await management.describe(model, "all")}
    except ModelNotFoundError:
        return {}


async def default_version(management: ManagementClient, model: str) -> str | None:
    """The version that answers requests that name none."""
    try:
        return (await management.describe(model))[0].model_version
    except ModelNotFoundError:
        return None


async def bring_up(
    torchserve: TorchServe,
    model: str,
    wanted: DeployedVersion,
    url: str,
    check: GoldenCheck,
    ready_timeout_s: float,
) -> None:
    """Registers a version from `url` and returns when it has passed the check; it gets no request yet.

    A version of that name that is registered already, but does not serve, is replaced.

    Raises:
        DeploymentError, TorchServeError: it has not; what was registered of it is still there, see `remove`.
    """
    management, version = torchserve.management, wanted.version
    before = await registered(management, model)
    found = ", ".join(f"{model} {each}" for each in before)
    logger.info("%s: found %s", torchserve.name, found or f"no version of {model}")
    if version in before:
        logger.warning(
            "%s: %s %s is registered but does not serve; removing it", torchserve.name, model, version
        )
        await management.unregister(model, version)
        del before[version]
    status = await management.register(model, {"url": url, **wanted.parameters(), "initial_workers": 1})
    # A presigned URL's query is a credential.
    source = url.split("?", maxsplit=1)[0]
    logger.info("%s: registering %s %s from %s: %s", torchserve.name, model, version, source, status)
    new = set(await registered(management, model)) - set(before)
    if new != {version}:
        for other in new:
            await management.unregister(model, other)
        raise DeploymentError(
            f"{model} {version} was not deployed: {wanted.archive} is no model archive "
            f"or one of version {', '.join(sorted(new)) or 'unknown'}"
        )
    # One after the other: each takes a core while it loads, which the version that serves needs, too.
    for workers in range(1, wanted.initial_workers + 1):
        if workers > 1:
            await management.scale(model, version, {"min_worker": workers, "max_worker": workers})
        await workers_ready(management, model, version, workers, ready_timeout_s)
    logger.info("%s: %d workers of %s %s READY", torchserve.name, wanted.initial_workers, model, version)
    await check(torchserve.inference, model, version)


async def workers_ready(
    management: ManagementClient, model: str, version: str, workers: int, timeout_s: float
) -> None:
    """Returns when as many workers are READY.

    Raises:
        DeploymentError: they are not within timeout_s, or they die while they load.
        TorchServeError: TorchServe cannot be asked.
    """
    try:
        await until_ready(management, model, version, workers, timeout_s)
    except WorkersNotReadyError as exc:
        raise DeploymentError(f"{model} {version} was not deployed: {exc}") from exc


@stamina.retry(on=UnreachableError, attempts=None, timeout=RESTART_S, wait_initial=0.5, wait_max=2)
async def registered_when_back(torchserve: TorchServe, model: str) -> dict[str, ModelVersion]:
    """As `registered`; waits for a TorchServe that is just being started again.

    Raises:
        TorchServeError: it does not come back, or cannot be asked.
    """
    return await registered(torchserve.management, model)


async def remove(torchserve: TorchServe, model: str, version: str) -> None:
    """Unregisters a version if it is there; waits for a TorchServe that is just being started again.

    Raises:
        TorchServeError: it may still be registered.
    """
    if version in await registered_when_back(torchserve, model):
        status = await torchserve.management.unregister(model, version)
        logger.info("%s: removed %s %s: %s", torchserve.name, model, version, status)


async def remove_everywhere(replicas: list[TorchServe], model: str, version: str) -> None:
    """Unregisters a version from all replicas; what cannot be is said, since there is nothing else to do."""
    for torchserve in replicas:
        try:
            await remove(torchserve, model, version)
        except TorchServeError as exc:
            logger.error("%s: %s %s may still be registered: %s", torchserve.name, model, version, exc)


def refuse_differences(model: str, wanted: DeployedVersion, serving: ModelVersion) -> None:
    """A version that serves keeps its parameters.

    Raises:
        DeploymentError: it was registered with others than wanted.
    """
    pairs = {
        "batch_size": (serving.batch_size, wanted.batch_size),
        "max_batch_delay": (serving.max_batch_delay, wanted.max_batch_delay),
        "initial_workers": (serving.min_workers, wanted.initial_workers),
        "response_timeout": (serving.response_timeout, wanted.response_timeout),
    }
    differing = [f"{key}={now}, not {then}" for key, (now, then) in pairs.items() if now != then]
    if differing:
        raise DeploymentError(
            f"{model} {wanted.version} serves with {', '.join(differing)}; "
            "a version keeps its parameters, so deploy the new ones as a new VERSION"
        )

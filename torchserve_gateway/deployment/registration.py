"""One version on one TorchServe: registered beside the others, READY, answering right; or gone again."""

import logging

import stamina

from torchserve_gateway.deployment.archives.model_config import differences
from torchserve_gateway.downloads import without_credentials
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedVersion
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.descriptions import ModelVersion
from torchserve_gateway.torchserve_api.errors import (
    ArchiveExistsError,
    TorchServeError,
    UnreachableError,
)
from torchserve_gateway.torchserve_api.management import ManagementClient
from torchserve_gateway.torchserve_api.readiness import WorkersNotReadyError, until_ready
from torchserve_gateway.torchserve_api.versions import registered

logger = logging.getLogger(__name__)

# A TorchServe that was killed is started again within this time, if at all.
RESTART_S = 30


async def bring_up(
    torchserve: TorchServe,
    model: str,
    wanted: DeployedVersion,
    url: str,
    ready_timeout_s: float,
    *,
    was_deployed: bool,
) -> DeployedVersion:
    """Registers a version from `url` and returns when its workers are READY; it gets no request yet.

    was_deployed: whether this very archive is on record.

    Returns:
        the version with the parameters that TorchServe runs it with.

    Raises:
        DeploymentError, TorchServeError: it is not READY; what was registered of it is still there, see
            `remove`. VersionConflictError alone means that nothing was.
    """
    management, version = torchserve.management, wanted.version
    before = await registered(management, model)
    status = await _register(management, model, wanted, url, was_deployed=was_deployed)
    source = without_credentials(url)
    logger.info("%s: registering %s %s from %s: %s", torchserve.name, model, version, source, status)
    after = await registered(management, model)
    new = set(after) - set(before)
    if new != {version}:
        for other in new:
            await management.unregister(model, other)
        raise DeploymentError(
            f"{model} {version} was not deployed: {wanted.archive} is no model archive "
            f"or one of version {', '.join(sorted(new)) or 'unknown'}"
        )
    started = max(after[version].min_workers, 1)
    # One after the other: each takes a core while it loads, which the version that serves needs, too.
    for workers in range(started, max(started, wanted.initial_workers) + 1):
        if workers > started:
            await management.scale(model, version, {"min_worker": workers, "max_worker": workers})
        await workers_ready(management, model, version, workers, ready_timeout_s)
    runs = as_described(wanted, (await management.describe(model, version))[0])
    logger.info("%s: %d workers of %s %s READY", torchserve.name, runs.initial_workers, model, version)
    if unlike := differences(wanted, runs):
        logger.warning("%s: %s %s runs otherwise: %s", torchserve.name, model, version, "; ".join(unlike))
    return runs


def as_described(wanted: DeployedVersion, described: ModelVersion) -> DeployedVersion:
    """The version with the parameters that TorchServe says it has."""
    return wanted.model_copy(
        update={
            "batch_size": described.batch_size,
            "max_batch_delay": described.max_batch_delay,
            "initial_workers": described.min_workers,
            "response_timeout": described.response_timeout,
            "startup_timeout": described.startup_timeout or wanted.startup_timeout,
        }
    )


async def _register(
    management: ManagementClient, model: str, wanted: DeployedVersion, url: str, *, was_deployed: bool
) -> str:
    parameters = {**wanted.parameters(), "initial_workers": 1}
    try:
        return await management.register(model, {"url": url, **parameters})
    except ArchiveExistsError as exc:
        # TorchServe removes what it downloaded with the version, but not if it was restarted in between.
        if not was_deployed:
            raise DeploymentError(
                f"{model} {wanted.version} was not deployed: TorchServe's model store holds another "
                f"{wanted.archive}; remove it there or give the new one another file name"
            ) from exc
        logger.info("TorchServe still has %s", wanted.archive)
        return await management.register(model, {"url": wanted.archive, **parameters})


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


async def remove_everywhere(replicas: list[TorchServe], model: str, version: str) -> tuple[str, ...]:
    """Unregisters a version from all replicas.

    Returns:
        the names of those on which it may still be registered, which is logged.
    """
    left = []
    for torchserve in replicas:
        try:
            await remove(torchserve, model, version)
        except TorchServeError as exc:
            logger.error("%s: %s %s may still be registered: %s", torchserve.name, model, version, exc)
            left.append(torchserve.name)
    return tuple(left)


def refuse_differences(model: str, wanted: DeployedVersion, serving: ModelVersion) -> None:
    """A version that serves keeps its parameters.

    Raises:
        DeploymentError: it was registered with others than wanted.
    """
    differing = differences(wanted, as_described(wanted, serving))
    if differing:
        raise DeploymentError(
            f"{model} {wanted.version} serves already, but {', '.join(differing)}; "
            "a version keeps its parameters, so deploy the new ones as a new VERSION"
        )

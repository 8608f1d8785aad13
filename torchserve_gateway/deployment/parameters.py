"""Registration parameters of a version: asked for, and as TorchServe runs them."""

import logging

from torchserve_gateway.deployment.archives.model_config import ModelConfig
from torchserve_gateway.deployment.errors import ArchiveRefusedError
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedVersion
from torchserve_gateway.torchserve_api.descriptions import ModelVersion

logger = logging.getLogger(__name__)


def as_torchserve_will_run(
    model: str, asked: DeployedVersion, config: ModelConfig | None, deadline_s: float
) -> DeployedVersion:
    """The version with the parameters that TorchServe will use; differences are logged as a warning.

    Args:
        model: name of the served model.
        asked: the version with the parameters of the registration.
        config: the archive's model-config.yaml, if it has one.
        deadline_s: the gateway's deadline.

    Raises:
        ArchiveRefusedError: TorchServe would kill workers before the gateway's deadline.
    """
    runs = config.applied_to(asked) if config else asked
    if config:
        conflicts = [*differences(asked, runs), *config.without_effect(runs)]
        if conflicts:
            logger.warning(
                "%s %s: model-config.yaml in %s: %s",
                model,
                asked.version,
                asked.archive,
                "; ".join(conflicts),
            )
    refuse_short_timeout(runs, deadline_s)
    return runs


def as_described(wanted: DeployedVersion, described: ModelVersion) -> DeployedVersion:
    """The version with the parameters that TorchServe reports."""
    return wanted.model_copy(
        update={
            "batch_size": described.batch_size,
            "max_batch_delay": described.max_batch_delay,
            "initial_workers": described.min_workers,
            "response_timeout": described.response_timeout,
            "startup_timeout": described.startup_timeout or wanted.startup_timeout,
        }
    )


def running(
    name: str, wanted: DeployedVersion, described: ModelVersion, deadline_s: float
) -> DeployedVersion:
    """The version with the parameters that TorchServe runs; differences are logged as a warning.

    Args:
        name: name of the version in messages.
        wanted: the version with the parameters of the registration.
        described: TorchServe's description.
        deadline_s: the gateway's deadline.

    Raises:
        ArchiveRefusedError: TorchServe would kill workers before the gateway's deadline.
    """
    runs = as_described(wanted, described)
    if unlike := differences(wanted, runs):
        logger.warning("%s runs otherwise: %s", name, "; ".join(unlike))
    refuse_short_timeout(runs, deadline_s)
    return runs


def differences(asked: DeployedVersion, runs: DeployedVersion) -> list[str]:
    """Parameters that differ, each with both values."""
    found = runs.parameters()
    return [
        f"{key} is {found[key]}, not {value}"
        for key, value in asked.parameters().items()
        if found[key] != value
    ]


def refuse_differences(model: str, wanted: DeployedVersion, serving: ModelVersion) -> None:
    """Protects the parameters of a version that serves, which TorchServe cannot change.

    Raises:
        DeploymentError: the version is registered with other parameters.
    """
    differing = differences(wanted, as_described(wanted, serving))
    if differing:
        raise DeploymentError(
            f"{model} {wanted.version} serves already, but {', '.join(differing)}; "
            "a version keeps its parameters, so deploy the new ones as a new VERSION"
        )


def refuse_short_timeout(runs: DeployedVersion, deadline_s: float) -> None:
    """Applies the rule of the settings to the parameters that TorchServe runs.

    Raises:
        ArchiveRefusedError: response_timeout is not above the gateway's deadline.
    """
    if deadline_s >= runs.response_timeout:
        raise ArchiveRefusedError(
            f"{runs.archive} runs with response_timeout = {runs.response_timeout} s, which must be above "
            f"gateway.deadline_s = {deadline_s:g}: at that age TorchServe kills the worker and its batch"
        )

"""The plan of one deploy and its target, which all steps share."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from torchserve_gateway.deployment.archives.requirements import warn_unless_installed
from torchserve_gateway.deployment.archives.verification import Archive
from torchserve_gateway.deployment.golden_check import GoldenCheck
from torchserve_gateway.deployment.parameters import as_torchserve_will_run
from torchserve_gateway.downloads import without_credentials
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedVersion, DeploymentRecord
from torchserve_gateway.record.reports import Gateways
from torchserve_gateway.settings.deployment import BlueGreen, Canary, Shadow, SwapSettings, UploadSettings
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import HandlerFailedError, WorkerDiedError
from torchserve_gateway.torchserve_api.readiness import WorkersNotReadyError
from torchserve_gateway.torchserve_api.worker_log import WorkerLog

OF_THE_HANDLER = (HandlerFailedError, WorkerDiedError, WorkersNotReadyError)


@dataclass(frozen=True)
class Deployment:
    """One version to deploy, and how."""

    model: str
    """Name under which the model is served."""
    wanted: DeployedVersion
    """The version, with the parameters that TorchServe will use."""
    url: str
    """Source for TorchServe: a file name in its model store, or an address."""
    archive: Path | None
    """File to put into the model store first; None if TorchServe downloads the archive."""
    model_store: Path | None
    """TorchServe's model store; None if it is on another disk."""
    strategy: BlueGreen | Canary | Shadow
    check: GoldenCheck
    ready_timeout_s: float
    """Time for the workers to become READY."""
    drain_timeout_s: float
    """Time for the old version to finish its requests."""
    settle_s: float
    """Time that its queues must stay empty."""
    deadline_s: float
    """Longest duration of a request; a drain waits this long where no gateway reports."""
    keep_previous: int
    """Number of previous versions to keep for a rollback."""
    worker_log: WorkerLog = field(default_factory=lambda: WorkerLog(None))
    """Lines that the workers print during the deploy."""

    def failed(self, reason: object) -> DeploymentError:
        """The error that ends this deploy; TorchServe repeats URLs, which may be presigned."""
        return DeploymentError(
            f"{self.model} {self.wanted.version} was not deployed: {without_credentials(str(reason))}"
        )

    def explained(self, failure: Exception) -> str:
        """The failure, and the handler's error where that is the reason."""
        if not isinstance(failure, OF_THE_HANDLER):
            return str(failure)
        return f"{failure}; {self.worker_log.reason(self.model, self.wanted.version)}"


@dataclass(frozen=True)
class Target:
    """Collaborators that all steps of a deploy share."""

    replicas: list[TorchServe]
    """All TorchServes that get the version."""
    record: DeploymentRecord
    """Locked by the caller."""
    gateways: Gateways


def upload_plan(settings: UploadSettings, archive: Archive) -> Deployment:
    """Plans the deploy of the configured version; by default it gets a worker per core.

    Raises:
        DeploymentError: as `planned`.
    """
    params = settings.request_params
    asked = DeployedVersion(
        version=settings.model.version,
        source=archive.source,
        archive=archive.name,
        sha256=archive.sha256,
        engine=archive.engine,
        idempotent=settings.model.idempotent,
        initial_workers=params.initial_workers or len(os.sched_getaffinity(0)),
        **params.model_dump(exclude={"url", "initial_workers"}),
    )
    return planned(settings, asked, archive)


def planned(settings: SwapSettings, asked: DeployedVersion, archive: Archive) -> Deployment:
    """Plans the deploy of a version from its archive.

    Raises:
        DeploymentError: the archive's model-config.yaml does not suit the gateway, or a sample is missing.
    """
    model, deadline_s = settings.served.name, settings.gateway.deadline_s
    inspected = asked.model_copy(update={"takes_images": archive.takes_images})
    wanted = as_torchserve_will_run(model, inspected, archive.config, deadline_s)
    warn_unless_installed(f"{model} {wanted.version}", archive.requirements, settings.torchserve)
    return Deployment(
        model=model,
        wanted=wanted,
        url=archive.url,
        archive=archive.file,
        model_store=settings.torchserve.model_store,
        strategy=settings.strategy,
        check=GoldenCheck.of(settings.model, wanted.response_timeout),
        ready_timeout_s=settings.ready_timeout_s,
        drain_timeout_s=settings.drain_timeout_s,
        settle_s=settings.settle_s,
        deadline_s=deadline_s,
        keep_previous=settings.keep_previous,
        worker_log=WorkerLog(settings.torchserve.log_dir),
    )

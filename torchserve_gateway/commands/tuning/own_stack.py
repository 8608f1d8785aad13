"""A stack of its own for `make tune`: free ports, own folders, one version with changing parameters."""

import asyncio
import contextlib
import io
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from torchserve_gateway.commands import stack
from torchserve_gateway.deployment.archives.model_store import stage
from torchserve_gateway.deployment.archives.verification import Archive
from torchserve_gateway.deployment.parameters import as_torchserve_will_run
from torchserve_gateway.deployment.registration import remove
from torchserve_gateway.local_stack.free_ports import free_ports
from torchserve_gateway.local_stack.preflight import PreflightError
from torchserve_gateway.local_stack.supervisor import SHARED_GROUPS, Supervisor
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedModel, DeployedVersion, DeploymentRecord
from torchserve_gateway.record.reports import Gateways
from torchserve_gateway.settings.composition import as_override, load
from torchserve_gateway.settings.local_stack import StackSettings
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import TorchServeError
from torchserve_gateway.torchserve_api.readiness import WorkersNotReadyError, until_ready
from torchserve_gateway.torchserve_api.worker_log import WorkerLog
from torchserve_gateway.tuning.candidates import Candidate

FOLLOW_TIMEOUT_S = 30
POLL_INTERVAL_S = 0.1
# Guards of the gateway, which a measurement of the model is not to meet.
UNGUARDED = (
    "gateway.host=127.0.0.1",
    "gateway.models=null",
    "gateway.tls.certificate=null",
    "gateway.tls.key=null",
    "gateway.auth.enabled=false",
    "gateway.allowed_hosts=[]",
    "gateway.rate_limit.per_key=null",
    "gateway.rate_limit.per_address=null",
    "gateway.cache.enabled=false",
    "gateway.tracing.otlp_endpoint=null",
    "gateway.deployments_refresh_s=0.1",
)


def shared(overrides: Sequence[str]) -> list[str]:
    """Overrides of the groups that all commands have."""
    return [each for each in overrides if each.lstrip("+~").split("=")[0].split(".")[0] in SHARED_GROUPS]


class NotServedError(Exception):
    """TorchServe does not serve a combination; the message says why."""


class OwnStack:
    """TorchServe and gateway beside any other; nothing runs before the first `serve`."""

    def __init__(self, directory: Path, overrides: Sequence[str], archive: Archive) -> None:
        self._overrides = [*shared(overrides), *_own(directory)]
        self._archive = archive
        self._threads: int | None = None
        self.settings = load("stack", StackSettings, self._overrides)
        self._record = DeploymentRecord(self.settings.torchserve.deployments_dir)

    def __enter__(self) -> Self:
        """Stops a stack that a killed run left here."""
        self.stop()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the stack."""
        self.stop()

    def stop(self) -> None:
        """Stops the stack, if it runs."""
        self._threads = None
        if Supervisor(self.settings).pid() is not None:
            with contextlib.redirect_stdout(io.StringIO()):
                stack.down(self.settings, ())

    def serve(self, candidate: Candidate) -> None:
        """Replaces the parameters of the version; only other threads need a restart.

        Raises:
            NotServedError: TorchServe does not take them, or its workers do not load the model.
        """
        try:
            wanted = self._wanted(candidate)
            if self._threads != candidate.threads:
                self._restart(wanted, candidate.threads)
            else:
                asyncio.run(self._register(wanted))
            self._until_followed(self._entered(wanted))
        except (stack.StackError, WorkersNotReadyError, TorchServeError, DeploymentError) as exc:
            # Whatever state it is in now, the next combination finds a new one.
            self._threads = None
            raise NotServedError(self._explained(exc)) from exc

    def _explained(self, failure: Exception) -> str:
        if not isinstance(failure, WorkersNotReadyError):
            return " ".join(str(failure).split())
        log, model = WorkerLog(self.settings.torchserve.log_dir, since_start=True), self.settings.model
        return f"{failure}; {log.reason(model.name, model.version)}"

    def _wanted(self, candidate: Candidate) -> DeployedVersion:
        model = self.settings.model
        asked = DeployedVersion(
            version=model.version,
            source=self._archive.source,
            archive=self._archive.name,
            sha256=self._archive.sha256,
            engine=self._archive.engine,
            idempotent=model.idempotent,
            batch_size=candidate.batch_size,
            max_batch_delay=candidate.max_batch_delay,
            initial_workers=candidate.workers,
            response_timeout=model.response_timeout,
            startup_timeout=model.startup_timeout,
        )
        deadline_s = self.settings.gateway.deadline_s
        wanted = as_torchserve_will_run(self.settings.served.name, asked, self._archive.config, deadline_s)
        if wanted.initial_workers != candidate.workers:
            raise NotServedError(f"the archive's model-config.yaml sets {wanted.initial_workers} workers")
        return wanted

    def _restart(self, wanted: DeployedVersion, threads: int) -> None:
        self.stop()
        store = self.settings.torchserve.model_store
        assert store is not None, "set by _own"
        assert self._archive.file is not None, "it was built here"
        # Left from a run with another archive of this version.
        (store / self._archive.name).unlink(missing_ok=True)
        stage(self._archive.file, self._archive.sha256, store)
        self._entered(wanted)
        environment = [
            as_override(f"++torchserve.environment.{name}_NUM_THREADS", threads) for name in ("OMP", "MKL")
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                stack.up(self.settings, [*self._overrides, *environment])
            except PreflightError as exc:
                raise stack.StackError(str(exc)) from exc
        self._threads = threads

    async def _register(self, wanted: DeployedVersion) -> None:
        name, torchserve = self.settings.served.name, TorchServe.at(self.settings.torchserve)
        async with torchserve.http:
            await remove(torchserve, name, wanted.version)
            await torchserve.management.register(name, {"url": wanted.archive, **wanted.parameters()})
            await until_ready(
                torchserve.management,
                name,
                wanted.version,
                wanted.initial_workers,
                wanted.startup_timeout,
            )

    def _entered(self, wanted: DeployedVersion) -> int:
        with self._record.lock():
            return self._record.write(self.settings.served.name, DeployedModel(serving=wanted))

    def _until_followed(self, revision: int) -> None:
        """Returns once the gateway knows the number of workers, by which it admits requests."""
        gateways, give_up = Gateways(self._record.directory), time.monotonic() + FOLLOW_TIMEOUT_S
        while True:
            live = gateways.live().values()
            if live and all(each.revision >= revision for each in live):
                return
            if time.monotonic() > give_up:
                raise stack.StackError(f"the gateway does not follow the record; see {self.settings.log_dir}")
            time.sleep(POLL_INTERVAL_S)


def _own(directory: Path) -> list[str]:
    inference, management, metrics, grpc_inference, grpc_management, gateway = free_ports(6)
    return [
        f"torchserve.inference_url=http://127.0.0.1:{inference}",
        f"torchserve.management_url=http://127.0.0.1:{management}",
        f"torchserve.management_urls=[http://127.0.0.1:{management}]",
        f"torchserve.metrics_url=http://127.0.0.1:{metrics}",
        f"torchserve.grpc_inference_port={grpc_inference}",
        f"torchserve.grpc_management_port={grpc_management}",
        "torchserve.replica_inference_port=null",
        "torchserve.token_authorization=null",
        as_override("torchserve.model_store", directory / "model_store"),
        as_override("torchserve.deployments_dir", directory / "deployments"),
        as_override("torchserve.key_file", directory / "key_file.json"),
        as_override("state_dir", directory / "state"),
        as_override("torchserve.log_dir", directory / "state" / "log"),
        f"gateway.port={gateway}",
        *UNGUARDED,
    ]

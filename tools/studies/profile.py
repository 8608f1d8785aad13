"""`make profile`: times of loading a model and of each stage of its batches, by batch size and device.

The handler's own metrics, from a real TorchServe with one worker. Exit codes: 0 done; 1 the model could not
be measured; 2 bad configuration.
"""

import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
import yaml
from rich.progress import Progress

from tools.studies.charts import Chart
from tools.studies.loading import load_times
from tools.studies.report import Row, StudyReport
from tools.studies.served_model import ServedModel, StudyError
from tools.studies.settings import Device, ProfileSettings
from tools.studies.stage_log import STAGES, StageLog, StageLogError
from tools.throwaway_stack import StackCommandError, ThrowawayStack, throwaway_stack
from torchserve_gateway.deployment.errors import ArchiveBuildError
from torchserve_gateway.load_test.images import NoImagesError
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.model_parts.handlers import FOREIGN_HANDLER
from ts_serialize.checkpoint import CheckpointError

FAILURES = (
    *(StackCommandError, StudyError, StageLogError),
    *(ArchiveBuildError, CheckpointError, NoImagesError, OSError),
)
LOG_TIMEOUT_S = 30.0
_WORKER_LOAD = re.compile(r"^WorkerLoadTime{[^}]*} (\S+)", re.MULTILINE)


def profile(settings: ProfileSettings) -> None:
    """Measures, prints the table, writes CSV and charts.

    Raises:
        one of FAILURES: nothing was measured, or not written.
    """
    devices: list[Device] = settings.devices or ["cpu", *_gpu()]
    rows: list[Row] = []
    facts = [f"{settings.model.name}, one worker, one thread; {os.cpu_count()} cores; {_card()}"]
    with Progress(transient=True) as progress, TemporaryDirectory() as folder:
        profiled = with_profile(settings, Path(folder))
        batches = {size: math.ceil(settings.requests / size) for size in settings.batch_sizes}
        total = len(devices) * sum(size * number for size, number in batches.items())
        task = progress.add_task("requests", total=total)
        for device in devices:
            facts.append(loading(profiled, device))
            gpus = torch.cuda.device_count() if device == "cuda" else 0
            in_log = "torchserve.log_config=null"  # TorchServe's own has the metrics
            with throwaway_stack(f"+torchserve.properties.number_of_gpu={gpus}", in_log) as stack:
                study = DeviceStudy(stack, profiled, device)
                for size, number in batches.items():
                    rows.append(study.measured(size, number, lambda done: progress.advance(task, done)))
                study.close()
                facts.append(
                    f"{device}: the worker was READY after {study.worker_start} ms, Python's start included"
                )
    charts = [Chart(f"Milliseconds an image on {each}, by batch size", _bars(rows, each)) for each in devices]
    report = StudyReport(f"Times of {settings.model.name}", facts, rows, charts)
    report.show()
    for file in report.write(settings.report_dir, f"profile-{settings.model.name}"):
        print(file)


class DeviceStudy:
    """One device's TorchServe, with the archive in its model store; the caller closes it."""

    def __init__(self, stack: ThrowawayStack, settings: ProfileSettings, device: Device) -> None:
        self._settings, self._device = settings, device
        self.worker_start = ""
        """Milliseconds until the first worker was READY: Python, imports, weights."""
        self._served = ServedModel(stack, settings, max(settings.batch_sizes))
        self._archive = self._served.build()
        self._log = StageLog(stack.settings.log_dir / "ts_log.log")

    def close(self) -> None:
        """Closes the connections."""
        self._served.close()

    def measured(self, size: int, batches: int, progress: Callable[[int], None]) -> Row:
        """A row of the table: means over full batches of a size.

        Raises:
            StudyError, StageLogError: a request failed, or the handler did not report.
        """
        batching = {"batch_size": size, "max_batch_delay": self._settings.max_batch_delay}
        patience = {"response_timeout": math.ceil(self._settings.request_timeout_s), "initial_workers": 1}
        self._served.register(self._archive, **batching, **patience)
        if not self.worker_start:
            self.worker_start = ", ".join(_WORKER_LOAD.findall(self._served.metrics()))
        for _ in range(self._settings.warm_up):
            self._served.send(size)
        self._log.batches(self._settings.warm_up, LOG_TIMEOUT_S)
        start = perf_counter()
        for _ in range(batches):
            self._served.send(size)
            progress(size)
        duration_s = perf_counter() - start
        times = self._log.batches(batches, LOG_TIMEOUT_S)
        self._served.unregister()
        stages = {f"{stage}, ms": fmean(each[stage] for each in times) for stage in STAGES}
        return {
            "device": self._device,
            "batch size": size,
            "requests": size * batches,
            **stages,
            "inference of all, %": 100 * stages["inference, ms"] / sum(stages.values()),
            "ms an image": sum(stages.values()) / size,
            "images/s": size * batches / duration_s,
        }


def with_profile(settings: ProfileSettings, folder: Path) -> ProfileSettings:
    """Settings under which our handlers and TorchServe's own report the times of every batch."""
    model = settings.model
    if str(model.handler) == FOREIGN_HANDLER:
        # It may have a model-config.yaml, which this file would replace.
        return settings
    config = yaml.safe_load(model.model_config_file.read_text("utf-8")) if model.model_config_file else {}
    file = folder / "model-config.yaml"
    file.write_text(yaml.safe_dump({**config, "handler": {**config.get("handler", {}), "profile": True}}))
    return settings.model_copy(update={"model": model.model_copy(update={"model_config_file": file})})


def loading(settings: ProfileSettings, device: Device) -> str:
    """Times of loading, as a line; raises CheckpointError."""
    times = load_times(settings.model, device)
    if times is None:
        return f"{device}: the archive has no weights to load"
    return f"{device}: weights loaded in {times.load:.0f} ms, moved to the device in {times.move:.1f} ms"


def _bars(rows: list[Row], device: Device) -> dict[str, dict[str, float]]:
    return {
        f"batch of {row['batch size']}": {
            stage: float(row[f"{stage}, ms"]) / float(row["batch size"]) for stage in STAGES
        }
        for row in rows
        if row["device"] == device
    }


def _gpu() -> list[Device]:
    return ["cuda"] if torch.cuda.is_available() else []


def _card() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


if __name__ == "__main__":
    sys.exit(run("profile", ProfileSettings, profile, FAILURES))

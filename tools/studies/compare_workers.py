"""`make compare_workers`: queue and inference latency by number of workers, from TorchServe's metrics.

Exit codes: 0 done; 1 the model could not be measured; 2 bad configuration.
"""

import os
import re
import sys
from time import perf_counter

from rich.progress import track

from tools.studies.charts import Chart
from tools.studies.report import Row, StudyReport
from tools.studies.served_model import ServedModel, StudyError
from tools.studies.settings import CompareWorkersSettings
from tools.throwaway_stack import StackCommandError, throwaway_stack
from torchserve_gateway.deployment.errors import ArchiveBuildError
from torchserve_gateway.load_test.images import NoImagesError
from torchserve_gateway.settings.command import run

METRICS = {
    "requests": "ts_inference_requests_total",
    "queue": "ts_queue_latency_microseconds",
    "inference": "ts_inference_latency_microseconds",
}
FAILURES = (StackCommandError, StudyError, ArchiveBuildError, NoImagesError, OSError)
QUEUE, INFERENCE = "queue, ms", "inference, ms"


def compare_workers(settings: CompareWorkersSettings) -> None:
    """Measures, prints a table, writes CSV and charts.

    Raises:
        one of FAILURES: nothing was measured, or not written.
    """
    model = settings.model
    with throwaway_stack() as stack:
        served = ServedModel(stack, settings, settings.clients)
        try:
            parameters = {"batch_size": model.batch_size, "max_batch_delay": model.max_batch_delay}
            served.register(served.build(), initial_workers=settings.workers[0], **parameters)
            rows = [
                measured(served, settings, workers)
                for workers in track(settings.workers, "workers", transient=True)
            ]
        finally:
            served.close()
    load = f"{settings.requests} requests for each number of workers, {settings.clients} at a time"
    batching = f"batch_size {model.batch_size}, max_batch_delay {model.max_batch_delay} ms"
    report = StudyReport(
        f"Workers of {model.name}",
        [f"{load}; {batching}; {os.cpu_count()} cores; TorchServe's inference latency includes the queue"],
        rows,
        [Chart("Milliseconds a request, by workers", {str(row["workers"]): _parts(row) for row in rows})],
    )
    report.show()
    for file in report.write(settings.report_dir, f"workers-{model.name}"):
        print(file)


def measured(served: ServedModel, settings: CompareWorkersSettings, workers: int) -> Row:
    """A row of the table: means of the requests that this number of workers answered; raises StudyError."""
    served.scale(workers)
    served.send(settings.warm_up)
    before, start = counters(served.metrics(), served.name), perf_counter()
    served.send(settings.requests)
    duration_s, after = perf_counter() - start, counters(served.metrics(), served.name)
    answered = after["requests"] - before["requests"]
    if answered != settings.requests:
        raise StudyError(f"TorchServe counted {answered:.0f} requests of {settings.requests}")
    means_ms = {name: (after[name] - before[name]) / answered / 1000 for name in ("queue", "inference")}
    return {
        "workers": workers,
        "requests": settings.requests,
        QUEUE: means_ms["queue"],
        INFERENCE: means_ms["inference"],
        "requests/s": settings.requests / duration_s,
    }


def _parts(row: Row) -> dict[str, float]:
    queue, whole = float(row[QUEUE]), float(row[INFERENCE])
    return {"queue": queue, "worker": max(0.0, whole - queue)}


def counters(page: str, model: str) -> dict[str, float]:
    """Sums of a model's counters over all versions; 0 for a counter that is not there."""
    label = f'model_name="{re.escape(model)}"'
    values = {
        name: re.findall(rf"^{metric}{{[^}}]*{label}[^}}]*}} (\S+)", page, re.MULTILINE)
        for name, metric in METRICS.items()
    }
    return {name: sum(map(float, found)) for name, found in values.items()}


if __name__ == "__main__":
    sys.exit(run("compare_workers", CompareWorkersSettings, compare_workers, FAILURES))

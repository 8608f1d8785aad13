"""The results as tables for people."""

from rich.console import Group, RenderableType
from rich.json import JSON
from rich.table import Table

from torchserve_gateway.management_cli.results import Changed, Description, Done
from torchserve_gateway.terminal.words import state_cell
from torchserve_gateway.torchserve_api.descriptions import ModelPage, ModelVersion, Worker


def models_table(page: ModelPage) -> RenderableType:
    """A row per model."""
    table = Table("model", "archive of the default version", box=None)
    for model in page.models:
        # A presigned URL's query is a credential.
        table.add_row(model.model_name, model.model_url.split("?")[0])
    if page.next_page_token is None:
        return table
    return Group(table, f"\nnext page: --page {page.next_page_token}")


def description_tables(description: Description) -> RenderableType:
    """A row per version, a row per worker, then the handler's own description, if it was asked for."""
    versions = description.versions
    parts: list[RenderableType] = [_versions(versions, description.default_version), "", _workers(versions)]
    for metadata in (each.customized_metadata for each in versions):
        if metadata is not None:
            parts += ["", JSON.from_data(metadata) if metadata else "its handler says nothing of itself"]
    return Group(*parts)


def changed_table(changed: Changed) -> RenderableType:
    """TorchServe's status text and the state of the workers."""
    version = changed.version
    parts: list[RenderableType] = [changed.status, "", _workers([version])]
    if version.ready_workers < version.min_workers:
        parts.append(
            f"\n{version.ready_workers} of {version.min_workers} workers READY, the others are still "
            "starting; `describe` shows them, `--wait SECONDS` waits for them"
        )
    return Group(*parts)


def status_line(done: Done) -> RenderableType:
    """TorchServe's status text."""
    return done.status


def _versions(versions: list[ModelVersion], default_version: str) -> Table:
    table = Table(
        *("model", "version", "default", "archive", "READY", "min", "max", "batch_size", "max_batch_delay"),
        *("response_timeout", "waiting"),
        box=None,
    )
    for each in versions:
        queue = each.job_queue_status
        table.add_row(
            each.model_name,
            each.model_version,
            "yes" if each.model_version == default_version else "",
            each.archive_name,
            *(str(count) for count in (each.ready_workers, each.min_workers, each.max_workers)),
            str(each.batch_size),
            f"{each.max_batch_delay} ms",
            f"{each.response_timeout} s",
            str(queue.pending_requests) if queue else "",
        )
    return table


def _workers(versions: list[ModelVersion]) -> RenderableType:
    if not any(version.workers for version in versions):
        return "no workers"
    table = Table("version", "worker", "status", "pid", "started", "memory", "gpu", box=None)
    for version in versions:
        for worker in version.workers:
            table.add_row(version.model_version, *_worker_cells(worker))
    return table


def _worker_cells(worker: Worker) -> tuple[RenderableType, ...]:
    return (
        worker.id,
        state_cell(worker.status),
        str(worker.pid) if worker.pid > 0 else "",
        f"{worker.start_time:%Y-%m-%d %H:%M:%S} UTC" if worker.start_time else "",
        f"{worker.memory_usage / 1e6:.0f} MB" if worker.memory_usage else "",
        (worker.gpu_usage or "") if worker.gpu else "",
    )

"""Models, versions and workers as TorchServe's Management API describes them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    """Base of all answers: camelCase keys; unknown keys are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Worker(Answer):
    """A worker process."""

    id: str
    status: str
    """READY when it answers, else UNLOADING, also during its start."""
    pid: int = -1
    """-1 or missing during its start."""
    start_time: datetime | None = None
    memory_usage: int | None = None
    """Bytes; 0 until TorchServe first measures it."""
    gpu: bool | None = None
    gpu_usage: str | None = None


class JobQueueStatus(Answer):
    """Waiting jobs, without the batches in progress."""

    remaining_capacity: int
    pending_requests: int


class ModelVersion(Answer):
    """A registered version."""

    model_name: str
    model_version: str
    model_url: str
    min_workers: int
    max_workers: int
    batch_size: int
    max_batch_delay: int
    """In milliseconds."""
    response_timeout: int
    """In seconds."""
    startup_timeout: int | None = None
    """In seconds."""
    runtime: str | None = None
    device_type: str | None = None
    loaded_at_startup: bool | None = None
    workers: list[Worker]
    job_queue_status: JobQueueStatus | None = None
    customized_metadata: dict[str, Any] | None = None
    """Answer of the handler's `describe_handle`, if requested."""

    @property
    def ready_workers(self) -> int:
        """Number of workers that are READY."""
        return sum(worker.status == "READY" for worker in self.workers)

    @property
    def archive_name(self) -> str:
        """The archive's file name in TorchServe's model store."""
        return self.model_url.split("?")[0].rsplit("/", 1)[-1]


class ListedModel(Answer):
    """A model in the list."""

    model_name: str
    model_url: str
    """Archive of the default version."""


class ModelPage(Answer):
    """A page of models by name."""

    models: list[ListedModel]
    next_page_token: int | None = None
    """Token of the next page, which may be empty; None on the last page."""

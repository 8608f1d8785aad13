"""What TorchServe's Management API says of models, versions and workers."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    """Base of all answers: TorchServe's camelCase keys; keys that are not ours to use are passed over."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Worker(Answer):
    """One worker process. status: READY when it answers, else UNLOADING, also while it starts.

    pid: -1 or missing while it starts; memory_usage: bytes, 0 until TorchServe first measures it.
    """

    id: str
    status: str
    pid: int = -1
    start_time: datetime | None = None
    memory_usage: int | None = None
    gpu: bool | None = None
    gpu_usage: str | None = None


class JobQueueStatus(Answer):
    """Jobs that wait; the batches that run are not counted."""

    remaining_capacity: int
    pending_requests: int


class ModelVersion(Answer):
    """One registered version. max_batch_delay in ms, the timeouts in s.

    customized_metadata: what the handler's `describe_handle` answers, where it was asked for.
    """

    model_name: str
    model_version: str
    model_url: str
    min_workers: int
    max_workers: int
    batch_size: int
    max_batch_delay: int
    response_timeout: int
    startup_timeout: int | None = None
    runtime: str | None = None
    device_type: str | None = None
    loaded_at_startup: bool | None = None
    workers: list[Worker]
    job_queue_status: JobQueueStatus | None = None
    customized_metadata: dict[str, Any] | None = None

    @property
    def ready_workers(self) -> int:
        """How many workers would answer now."""
        return sum(worker.status == "READY" for worker in self.workers)

    @property
    def archive_name(self) -> str:
        """The archive's file name in TorchServe's model store."""
        return self.model_url.split("?")[0].rsplit("/", 1)[-1]


class ListedModel(Answer):
    """A model in the list. model_url: the archive of its default version."""

    model_name: str
    model_url: str


class ModelPage(Answer):
    """Models by name. next_page_token: of the next page, which may be empty; None if this is the last."""

    models: list[ListedModel]
    next_page_token: int | None = None

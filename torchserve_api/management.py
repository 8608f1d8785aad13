"""TorchServe's Management API: register, describe, set default, unregister."""

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from torchserve_api.errors import InvalidAnswerError
from torchserve_api.settings import TorchServeSettings
from torchserve_api.transport import Transport, path_of


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class Worker(_Answer):
    """One worker process. status is READY when it answers; pid is -1 or missing while it starts."""

    id: str
    status: str
    pid: int = -1


class JobQueueStatus(_Answer):
    """Jobs that wait; the batches that run are not counted."""

    remaining_capacity: int
    pending_requests: int


class ModelVersion(_Answer):
    """One registered version, as `GET /models/{model}/all` describes it."""

    model_name: str
    model_version: str
    model_url: str
    min_workers: int
    max_workers: int
    batch_size: int
    max_batch_delay: int
    response_timeout: int
    workers: list[Worker]
    job_queue_status: JobQueueStatus | None = None

    @property
    def ready_workers(self) -> int:
        """How many workers would answer now."""
        return sum(worker.status == "READY" for worker in self.workers)

    @property
    def archive_name(self) -> str:
        """The archive's file name in TorchServe's model store."""
        return self.model_url.split("?")[0].rsplit("/", 1)[-1]


class _Status(_Answer):
    status: str


_VERSIONS = TypeAdapter(list[ModelVersion])


class ManagementClient:
    """The models of one TorchServe. Every method raises TorchServeError as the subclass that fits."""

    def __init__(self, transport: Transport, settings: TorchServeSettings) -> None:
        self._transport = transport
        self._timeout_s = settings.management_timeout_s
        self._register_timeout_s = settings.register_timeout_s

    async def register(self, model: str, parameters: dict[str, str | int]) -> str:
        """Registers a version without waiting for its workers and returns TorchServe's status text.

        Asynchronous, because a synchronous registration holds a thread that predictions need.
        parameters: of `POST /models`: url, batch_size, max_batch_delay (ms), initial_workers,
        response_timeout and startup_timeout (s).
        """
        response = await self._transport.call(
            "POST",
            "/models",
            self._register_timeout_s,
            params={"model_name": model, "synchronous": "false", **parameters},
        )
        return _status(response.content)

    async def describe(
        self, model: str, version: str | None = None, deadline_s: float | None = None
    ) -> list[ModelVersion]:
        """One version, `"all"`, or the default version (None)."""
        segments = ("models", model, version) if version else ("models", model)
        response = await self._transport.call("GET", path_of(*segments), deadline_s or self._timeout_s)
        try:
            return _VERSIONS.validate_json(response.content)
        except ValidationError as exc:
            raise InvalidAnswerError(f"describing {model}: {exc}") from exc

    async def set_default(self, model: str, version: str) -> str:
        """Sends requests that name no version to this one; returns TorchServe's status text."""
        path = path_of("models", model, version, "set-default")
        return _status((await self._transport.call("PUT", path, self._timeout_s)).content)

    async def unregister(self, model: str, version: str) -> str:
        """Removes a version; TorchServe loses without an answer what still waits or runs in it."""
        path = path_of("models", model, version)
        return _status((await self._transport.call("DELETE", path, self._timeout_s)).content)


def _status(body: bytes) -> str:
    try:
        return _Status.model_validate_json(body).status
    except ValidationError as exc:
        raise InvalidAnswerError(f"expected a status, got {body[:200]!r}") from exc

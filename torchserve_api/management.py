"""TorchServe's Management API: docs/management_api.md in pytorch/serve."""

from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from torchserve_api.descriptions import Answer, ModelPage, ModelVersion
from torchserve_api.errors import InvalidAnswerError
from torchserve_api.settings import TorchServeSettings
from torchserve_api.transport import Transport, path_of

# TorchServe takes any other number for this one.
MAX_PAGE_SIZE = 100


class _Status(Answer):
    status: str


_VERSIONS = TypeAdapter(list[ModelVersion])


class ManagementClient:
    """The models of one TorchServe. Every method raises TorchServeError as the subclass that fits."""

    def __init__(self, transport: Transport, settings: TorchServeSettings) -> None:
        self._transport = transport
        self._timeout_s = settings.management_timeout_s
        self._register_timeout_s = settings.register_timeout_s

    async def register(
        self, model: str, parameters: Mapping[str, str | int], *, synchronous: bool = False
    ) -> str:
        """Registers a version and returns TorchServe's status text.

        parameters: of `POST /models`: url, batch_size, max_batch_delay (ms), initial_workers,
        response_timeout and startup_timeout (s).
        synchronous: the answer comes when the workers are READY, or the version is gone again. Until then
        the call holds a thread that predictions need; so the default is to answer before workers start.
        """
        response = await self._transport.call(
            "POST",
            "/models",
            self._register_timeout_s,
            params={"model_name": model, "synchronous": _boolean(synchronous), **parameters},
        )
        return _status(response.content)

    async def scale(
        self,
        model: str,
        version: str | None,
        min_worker: int,
        max_worker: int | None = None,
        *,
        synchronous: bool = False,
        timeout_s: int | None = None,
    ) -> str:
        """Starts or kills workers and returns TorchServe's status text; None: of the default version.

        TorchServe 0.12.0 starts only up to min_worker and kills only what is above max_worker (None: the
        same), at once and with the batch that runs there. It ignores timeout_s, how long a worker should
        get to finish. With min_worker 0 and a max_worker above it forgets workers that run on.
        synchronous: as of `register`.
        """
        params: dict[str, str | int] = {"min_worker": min_worker, "synchronous": _boolean(synchronous)}
        optional = {"max_worker": max_worker, "timeout": timeout_s}
        params |= {key: value for key, value in optional.items() if value is not None}
        path = path_of("models", model, *_segment(version))
        deadline_s = self._register_timeout_s if synchronous else self._timeout_s
        return _status((await self._transport.call("PUT", path, deadline_s, params=params)).content)

    async def describe(
        self,
        model: str,
        version: str | None = None,
        deadline_s: float | None = None,
        *,
        customized: bool = False,
    ) -> list[ModelVersion]:
        """One version, `"all"`, or the default version (None).

        customized: with what the handler says of itself; a job for a worker, so it waits in the queue.
        TorchServe does not do it for "all".
        """
        response = await self._transport.call(
            "GET",
            path_of("models", model, *_segment(version)),
            deadline_s or self._timeout_s,
            params={"customized": "true"} if customized else None,
        )
        try:
            return _VERSIONS.validate_json(response.content)
        except ValidationError as exc:
            raise InvalidAnswerError(f"describing {model}: {exc}") from exc

    async def list_models(self, limit: int = MAX_PAGE_SIZE, next_page_token: int | None = None) -> ModelPage:
        """One page of the models by name, 1 <= limit <= MAX_PAGE_SIZE; None: the first page."""
        params = {"limit": limit, "next_page_token": next_page_token or 0}
        response = await self._transport.call("GET", "/models", self._timeout_s, params=params)
        try:
            return ModelPage.model_validate_json(response.content)
        except ValidationError as exc:
            raise InvalidAnswerError(f"listing the models: {exc}") from exc

    async def set_default(self, model: str, version: str) -> str:
        """Sends requests that name no version to this one; returns TorchServe's status text."""
        path = path_of("models", model, version, "set-default")
        return _status((await self._transport.call("PUT", path, self._timeout_s)).content)

    async def unregister(self, model: str, version: str | None) -> str:
        """Removes a version; None: the default one, which TorchServe refuses while there are others.

        TorchServe loses without an answer what still waits or runs in it.
        """
        path = path_of("models", model, *_segment(version))
        return _status((await self._transport.call("DELETE", path, self._timeout_s)).content)


def _segment(version: str | None) -> tuple[str, ...]:
    return () if version is None else (version,)


def _boolean(value: bool) -> str:
    return str(value).lower()


def _status(body: bytes) -> str:
    try:
        return _Status.model_validate_json(body).status
    except ValidationError as exc:
        raise InvalidAnswerError(f"expected a status, got {body[:200]!r}") from exc

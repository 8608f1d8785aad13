"""TorchServe's Management API: docs/management_api.md in pytorch/serve."""

import json
from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from torchserve_gateway.settings.torchserve import TorchServeSettings
from torchserve_gateway.torchserve_api.descriptions import Answer, ModelPage, ModelVersion
from torchserve_gateway.torchserve_api.errors import ApiDisabledError, InvalidAnswerError, RequestRefusedError
from torchserve_gateway.torchserve_api.transport import Transport, path_of

# TorchServe replaces any other number by this.
MAX_PAGE_SIZE = 100
# TorchServe's mark of a missing delay; a delay left out of JSON becomes -10,000 ms.
DELAY_NOT_GIVEN = -100


class _Status(Answer):
    status: str


_STATUS = TypeAdapter(_Status)
# TorchServe answers 404 for a model without versions.
_VERSIONS = TypeAdapter(Annotated[list[ModelVersion], Field(min_length=1)])
_PAGE = TypeAdapter(ModelPage)
AnswerT = TypeVar("AnswerT")


class ManagementClient:
    """The models of one TorchServe. Every method raises a subclass of TorchServeError."""

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
        synchronous: answers when the workers are READY or the version is gone again. Until then the call
        holds a thread that predictions need, so the default is to answer before workers start.
        """
        body = {
            "max_batch_delay": DELAY_NOT_GIVEN,
            **parameters,
            "model_name": model,
            "synchronous": synchronous,
        }
        response = await self._transport.call(
            "POST",
            "/models",
            self._register_timeout_s,
            # Not as the query, which TorchServe logs: the URL may be presigned.
            content=json.dumps(body).encode(),
            headers=((b"Content-Type", b"application/json"),),
        )
        return _status(response.content)

    async def registers(self) -> bool:
        """Whether the model API is on. Asks for a registration without an archive, which changes nothing."""
        try:
            await self._transport.call(
                "POST",
                "/models",
                self._timeout_s,
                content=b"{}",
                headers=((b"Content-Type", b"application/json"),),
            )
        except ApiDisabledError:
            return False
        except RequestRefusedError:
            return True
        return True

    async def scale(
        self,
        model: str,
        version: str | None,
        parameters: Mapping[str, str | int],
        *,
        synchronous: bool = False,
    ) -> str:
        """Starts or kills workers and returns TorchServe's status text.

        version: None for the default version. parameters: min_worker, max_worker (default: min_worker) and
        timeout (s). TorchServe 0.12.0 starts workers up to min_worker and kills workers above max_worker at
        once, with their running batches: it ignores timeout. With min_worker 0 and a larger max_worker it
        loses track of running workers. synchronous: see `register`.
        """
        response = await self._transport.call(
            "PUT",
            path_of("models", model, *_segment(version)),
            self._register_timeout_s if synchronous else self._timeout_s,
            params={"synchronous": _boolean(synchronous), **parameters},
        )
        return _status(response.content)

    async def describe(
        self,
        model: str,
        version: str | None = None,
        deadline_s: float | None = None,
        *,
        customized: bool = False,
    ) -> list[ModelVersion]:
        """Describes a version, `"all"` versions, or the default version (None).

        customized: adds the handler's description, a job that waits in the worker's queue; TorchServe ignores
        it for "all".
        """
        response = await self._transport.call(
            "GET",
            path_of("models", model, *_segment(version)),
            deadline_s or self._timeout_s,
            params={"customized": "true"} if customized else None,
        )
        return _read(_VERSIONS, response.content)

    async def list_models(self, limit: int = MAX_PAGE_SIZE, next_page_token: int | None = None) -> ModelPage:
        """A page of the models by name, 1 <= limit <= MAX_PAGE_SIZE; next_page_token None: the first page."""
        params = {"limit": limit, "next_page_token": next_page_token or 0}
        response = await self._transport.call("GET", "/models", self._timeout_s, params=params)
        return _read(_PAGE, response.content)

    async def set_default(self, model: str, version: str) -> str:
        """Makes a version the default and returns TorchServe's status text."""
        path = path_of("models", model, version, "set-default")
        return _status((await self._transport.call("PUT", path, self._timeout_s)).content)

    async def unregister(self, model: str, version: str | None) -> str:
        """Removes a version and returns TorchServe's status text.

        version: None for the default version, which TorchServe refuses while there are others. TorchServe
        drops waiting and running requests of the version without an answer.
        """
        path = path_of("models", model, *_segment(version))
        return _status((await self._transport.call("DELETE", path, self._timeout_s)).content)


def _segment(version: str | None) -> tuple[str, ...]:
    return () if version is None else (version,)


def _boolean(value: bool) -> str:
    return str(value).lower()


def _status(body: bytes) -> str:
    return _read(_STATUS, body).status


def _read(answer: TypeAdapter[AnswerT], body: bytes) -> AnswerT:
    try:
        return answer.validate_json(body)
    except ValidationError as exc:
        raise InvalidAnswerError(f"not an answer of TorchServe's management API: {body[:200]!r}") from exc

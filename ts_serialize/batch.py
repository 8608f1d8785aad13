"""A batch between the steps of a handler, and how a request of it fails alone. Part of the model archive."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ts_serialize.request_error import PredictionFailedError, RequestError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """A batch between two steps of the handler."""

    size: int
    """Requests in the batch."""
    positions: list[int]
    """Positions of the decoded requests, in the order of `tensor`."""
    tensor: Any
    """Result of the handler's `batch` before inference, of its `predict` after it.

    None if no request could be decoded.
    """
    failures: dict[int, RequestError]
    """Errors of the other requests by position."""
    apart: bool = False
    """Whether `tensor` is a list with the batch, then the outputs, of each request by itself."""


@contextmanager
def failing_alone(position: int, failures: dict[int, RequestError]) -> Iterator[None]:
    """Turns an exception into the failure of this request; the log has what is no RequestError."""
    try:
        yield
    except RequestError as exc:
        failures[position] = exc
    # The handler's own code may raise anything.
    except Exception as exc:
        # TorchServe's own rule for 507, which says that the worker lacks memory.
        if isinstance(exc, MemoryError) or "CUDA" in str(exc):
            raise
        logger.exception("request %d of the batch failed", position)
        failures[position] = PredictionFailedError("Prediction failed")


def decode_each(
    rows: Sequence[Any], decode: Callable[[Any], Any], each: Callable[..., Iterable[None]]
) -> tuple[dict[int, Any], dict[int, RequestError]]:
    """Returns the decoded requests, in order, and the failures of the others, by position.

    each: `map`, or that of a thread pool.
    """
    inputs: dict[int, Any] = {}
    failures: dict[int, RequestError] = {}

    def decode_at(position: int) -> None:
        with failing_alone(position, failures):
            inputs[position] = decode(rows[position])

    list(each(decode_at, range(len(rows))))
    return dict(sorted(inputs.items())), failures


def batched(decoded: Batch, inputs: Sequence[Any], batch: Callable[[Sequence[Any]], Any]) -> Batch:
    """Joins the decoded requests, or leaves each apart where they cannot be joined."""
    try:
        return replace(decoded, tensor=batch(inputs)) if inputs else decoded
    # Tensors of several shapes cannot be stacked.
    except RuntimeError:
        if len(inputs) == 1:
            raise
    return replace(decoded, tensor=[batch([tensor]) for tensor in inputs], apart=True)


def predicted_apart(data: Batch, batches: Sequence[Any], predict: Callable[[Any], Any]) -> Batch:
    """Predicts each request by itself, so that only requests fail on which the model fails.

    batches: the batch of each decoded request, in order.
    """
    outputs: dict[int, Any] = {}
    for position, batch in zip(data.positions, batches, strict=True):
        with failing_alone(position, data.failures):
            outputs[position] = predict(batch)
    return replace(data, positions=list(outputs), tensor=list(outputs.values()), apart=True)


def outputs_of(data: Batch, unbatch: Callable[[Any], Sequence[Any]]) -> Sequence[Any]:
    """Outputs of a batch after inference, in the order of its positions."""
    if not data.positions:
        return []
    if data.apart:
        return [split(outputs, 1, unbatch)[0] for outputs in data.tensor]
    return split(data.tensor, len(data.positions), unbatch)


def split(outputs: Any, size: int, unbatch: Callable[[Any], Sequence[Any]]) -> Sequence[Any]:
    """Splits what the model answered to a batch.

    Raises:
        ValueError: it is not an output per request.
    """
    rows = unbatch(outputs)
    if len(rows) != size:
        raise ValueError(
            f"predict answered {len(rows)} outputs to a batch of {size}; it has to answer an output per "
            "request, in order, or unbatch has to make them"
        )
    return rows


def media_type(answer: Any) -> str:
    """Media type of an answer as TorchServe sends it: bytes and text as they are, all else as JSON."""
    if isinstance(answer, bytes | bytearray):
        return "application/octet-stream"
    return "text/plain; charset=utf-8" if isinstance(answer, str) else "application/json"

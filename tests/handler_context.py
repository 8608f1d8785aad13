"""TorchServe's context of a batch, for handlers that are called as plain classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ts.context import Context, RequestProcessor


@dataclass
class RecordingMetrics:
    """Takes what a handler reports, as TorchServe's metrics cache does."""

    values: dict[str, float] = field(default_factory=dict)

    def add_metric(self, name: str, value: float, unit: str, **_: Any) -> None:
        self.values[name] = value

    def add_time(self, name: str, value: float, idx: int | None = None, unit: str = "ms") -> None:
        self.values[name] = value


def context(model_dir: Path, requests: int, explained: Sequence[int] = (), **model: str) -> Context:
    """Of a batch of up to 8.

    explained: the positions of the requests that came by /explanations; model: of the manifest, besides the
    name and the version.
    """
    manifest = {"model": {"serializedFile": "model.pt", "modelVersion": "1.0", "modelName": "genre"} | model}
    context = Context("genre", str(model_dir), manifest, 8, None, "0.12.0", metrics=RecordingMetrics())
    context.model_yaml_config = {}
    context.request_processor = [
        RequestProcessor({"explain": str(position in explained)}) for position in range(requests)
    ]
    return context


def answers(
    handler: Any, model_dir: Path, rows: Sequence[Mapping[str, Any]], explained: Sequence[int] = ()
) -> list[tuple[int, Any]]:
    """Each request's (status, answer)."""
    batch = context(model_dir, len(rows), explained)
    result = handler.handle(rows, batch)
    return [(batch.get_response_status(index)[0], answer) for index, answer in enumerate(result)]

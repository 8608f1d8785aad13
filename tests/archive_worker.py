"""A worker of TorchServe that has loaded an archive with the project's handler, in this process."""

import json
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ts.context import Context, RequestProcessor

from ts_serialize.handler import ImageClassificationHandler

BATCH_SIZE = 8


class NullMetrics:
    """Drops what a handler reports."""

    def add_metric(self, *_: Any, **__: Any) -> None: ...

    def add_time(self, *_: Any, **__: Any) -> None: ...


@dataclass(frozen=True)
class Worker:
    """A handler that has loaded an archive."""

    handler: ImageClassificationHandler
    directory: Path

    def answers(self, images: list[Path], explain: bool = False) -> list[dict[str, Any]]:
        rows = [{"body": image.read_bytes()} for image in images]
        batch = _context(self.directory)
        batch.request_processor = [RequestProcessor({"explain": str(explain)}) for _ in rows]
        answers: list[dict[str, Any]] = self.handler.handle(rows, batch)
        return answers


def loaded(archive: Path, directory: Path, patch: pytest.MonkeyPatch) -> Worker:
    """Unpacks an archive and loads it as a worker does."""
    with zipfile.ZipFile(archive) as content:
        content.extractall(directory)
    # TorchServe puts the folder there, and has one archive in a process.
    patch.syspath_prepend(directory)
    for module in directory.glob("*.py"):
        patch.delitem(sys.modules, module.stem, raising=False)
    handler = ImageClassificationHandler()
    handler.initialize(_context(directory))
    return Worker(handler, directory)


def _manifest(directory: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((directory / "MAR-INF" / "MANIFEST.json").read_text())
    return manifest


def _context(directory: Path) -> Context:
    manifest = _manifest(directory)
    name = manifest["model"]["modelName"]
    context = Context(name, str(directory), manifest, BATCH_SIZE, None, "0.12.0", metrics=NullMetrics())
    context.model_yaml_config = {}
    return context

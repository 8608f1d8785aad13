"""Model archives made from one that was built: another version, name, handler or file."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.project import ProjectSettings
from ts_serialize.engine_choice import ENGINE_FILE

MANIFEST = "MAR-INF/MANIFEST.json"
HANDLERS = PROJECT_ROOT / "tests" / "handlers"


def with_files(archive: bytes, files: Mapping[str, bytes | None]) -> bytes:
    """The archive with these files in the place of its own; None: without the file."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        kept = {entry.filename: source.read(entry) for entry in source.infolist()}
        template = source.getinfo(MANIFEST)
    contents = {name: content for name, content in {**kept, **files}.items() if content is not None}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as packed:
        for name, content in sorted(contents.items(), key=lambda each: Path(each[0])):
            entry = zipfile.ZipInfo(name, template.date_time)
            entry.external_attr = template.external_attr
            packed.writestr(entry, content)
    return target.getvalue()


def with_manifest(archive: bytes, **changes: str) -> bytes:
    """The archive with other values in the `model` part of its manifest."""
    manifest = manifest_of(archive)
    manifest["model"] |= changes
    return with_files(archive, {MANIFEST: json.dumps(manifest, indent=2).encode()})


def manifest_of(archive: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        manifest: dict[str, Any] = json.loads(source.read(MANIFEST))
    return manifest


def with_handler(archive: bytes, name: str) -> bytes:
    """The archive with a handler of tests/handlers/, which may import the project's own."""
    real = load("gateway", ProjectSettings).model.handler
    imported = {str(real.relative_to(PROJECT_ROOT)): real.read_bytes()}
    handler = {f"{name}.py": (HANDLERS / f"{name}.py").read_bytes(), real.name: None}
    # The engine of a network that a handler of its own loads is not known.
    handler[ENGINE_FILE] = None
    return with_manifest(with_files(archive, imported | handler), handler=f"{name}.py")

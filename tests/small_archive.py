"""Model archives of nothing but a handler, for what the project's own handler cannot be made to show."""

import json
import zipfile
from pathlib import Path


def small_archive(directory: Path, name: str, handler: str) -> Path:
    """Writes `<name>.mar`, version 1.0; handler: the Python source of its handler."""
    model = {"modelName": name, "modelVersion": "1.0", "handler": "handler.py"}
    archive = directory / f"{name}.mar"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model}))
        content.writestr("handler.py", handler)
    return archive

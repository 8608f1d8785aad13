"""Keys in the text of a model's file; all other lines, and their comments, stay as they are."""

import re
from collections.abc import Mapping
from pathlib import Path


def set_keys(file: Path, values: Mapping[str, object]) -> None:
    """Sets keys of the top level in one step; missing keys are added at the end.

    Raises:
        OSError: the file cannot be read or written.
    """
    text = file.read_text()
    for key, value in values.items():
        text, replaced = re.subn(
            rf"(?m)^{key}:[^#\n]*?(\s*(?:#.*)?)$", rf"{key}: {value}\g<1>", text, count=1
        )
        if not replaced:
            text = f"{text.rstrip()}\n{key}: {value}\n"
    part = file.with_name(f".{file.name}.part")
    part.write_text(text)
    part.replace(file)

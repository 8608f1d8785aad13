"""Values of any length in one line of a message."""

import json
from collections.abc import Iterable

MAX_NAMES = 5
MAX_CHARS = 60


def shown(value: object) -> str:
    """A JSON value, shortened."""
    return shortened(json.dumps(value, ensure_ascii=False))


def shown_bytes(body: bytes) -> str:
    """A body, shortened, with its length where something is left out."""
    return f"{body[:MAX_CHARS]!r}" + (f"... of {len(body)} bytes" if len(body) > MAX_CHARS else "")


def listed(names: Iterable[str]) -> str:
    """The first names, and the number of the others."""
    every = list(names)
    more = f" and {len(every) - MAX_NAMES} more" if len(every) > MAX_NAMES else ""
    return ", ".join(map(shortened, every[:MAX_NAMES])) + more


def shortened(text: str) -> str:
    """The text, or its beginning and end."""
    half = MAX_CHARS // 2
    return text if len(text) <= MAX_CHARS else f"{text[:half]} ... {text[-half:]}"

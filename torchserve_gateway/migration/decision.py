"""The fate of one key of a config.properties."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["kept", "overridden", "refused"]


@dataclass(frozen=True)
class Decision:
    """The fate of one key."""

    key: str
    value: str
    """As in the file, or the text of the environment variable."""
    verdict: Verdict
    setting: str = ""
    """Our setting, with its value where it is another; empty if there is none."""
    reason: str = ""
    """Why it is not kept, or a remark."""
    entry: tuple[tuple[str, ...], object] | None = None
    """Path in `config/torchserve/<name>.yaml` and value."""


def kept(key: str, text: str, path: tuple[str, ...], value: object, remark: str = "") -> Decision:
    """A key whose value goes to a path in our YAML."""
    return Decision(key, text, "kept", f"torchserve.{'.'.join(path)}", remark, (path, value))

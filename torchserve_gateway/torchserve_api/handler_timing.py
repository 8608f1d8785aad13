"""Reads a handler's timing and batch size from the headers of its answer.

This project's handler sends `Server-Timing: preprocess;dur=4.1, inference;dur=20.3, postprocess;dur=0.2`, in
ms for the whole batch, and `X-Batch-Size: 8`. Other handlers may send nothing, or other values.
"""

import re
from collections.abc import Mapping

STAGES = ("preprocess", "inference", "explain", "postprocess")
_STAGE = re.compile(rf"({'|'.join(STAGES)});dur=(\d{{1,7}}(?:\.\d{{1,6}})?)", re.ASCII)
_ENTRY = rf"\s*{_STAGE.pattern}\s*"
_ENTRIES = re.compile(rf"{_ENTRY}(?:,{_ENTRY})*", re.ASCII)
_BATCH_SIZE = re.compile(r"[1-9]\d{0,4}", re.ASCII)


def stages_s(headers: Mapping[str, str], at_most_s: float) -> dict[str, float]:
    """Seconds by stage, in order of execution; empty if missing or implausible.

    at_most_s: time that TorchServe had the request.
    """
    said = headers.get("server-timing", "")
    if not _ENTRIES.fullmatch(said):
        return {}
    entries = _STAGE.findall(said)
    found = {stage: float(ms) / 1000 for stage, ms in entries}
    plausible = len(found) == len(entries) and sum(found.values()) <= at_most_s
    return found if plausible else {}


def batch_size(headers: Mapping[str, str]) -> int | None:
    """Requests in the batch; None if missing or invalid."""
    said = headers.get("x-batch-size", "")
    return int(said) if _BATCH_SIZE.fullmatch(said) else None

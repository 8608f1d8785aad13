"""Times of each batch, as a handler's own metrics in TorchServe's ts_log.log."""

import re
import time
from pathlib import Path

STAGES = ("preprocess", "inference", "postprocess")
# Ours and TorchServe's own; `handler: profile: true` in model-config.yaml makes them report every batch.
_LINE = re.compile(
    r"result=\[METRICS\]"
    r"(?:(Preprocess|Inference|Postprocess)Time|ts_handler_(preprocess|inference|postprocess))"
    r"\.Milliseconds:([\d.]+)"
)
PAUSE_S = 0.2


class StageLogError(Exception):
    """The handler did not report its times."""


class StageLog:
    """Reads what was added to the log; batches are in the order in which the only worker ran them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._passed = 0

    def batches(self, number: int, timeout_s: float) -> list[dict[str, float]]:
        """Waits for the next batches and returns milliseconds by stage.

        Raises:
            StageLogError: other than `number` batches were reported in time.
        """
        give_up = time.monotonic() + timeout_s
        while True:
            text = self._file.read_text("utf-8", "replace") if self._file.exists() else ""
            times = {stage: each[self._passed :] for stage, each in stage_times(text).items()}
            if min(map(len, times.values())) >= number:
                break
            if time.monotonic() > give_up:
                break
            time.sleep(PAUSE_S)
        counts = {stage: len(each) for stage, each in times.items()}
        if set(counts.values()) != {number}:
            raise StageLogError(
                f"{number} batches ran, the handler reported {counts}; it must report PreprocessTime, "
                "InferenceTime and PostprocessTime, or be one of TorchServe's own"
            )
        self._passed += number
        return [dict(zip(STAGES, each, strict=True)) for each in zip(*times.values(), strict=True)]


def stage_times(text: str) -> dict[str, list[float]]:
    """Milliseconds by stage, in the order of the log, which has each line twice.

    A handler of ours that calls TorchServe's inference has that in its log, too: ours count.
    """
    ours: dict[str, list[float]] = {stage: [] for stage in STAGES}
    stock: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for line in dict.fromkeys(text.splitlines()):
        if entry := _LINE.search(line):
            found = ours if entry[1] else stock
            found[(entry[1] or entry[2]).lower()].append(float(entry[3]))
    return ours if any(ours.values()) else stock

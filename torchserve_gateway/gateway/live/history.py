"""The ring of samples: a sample a second of rates, latency, queue, batches, errors and deploys."""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from time import monotonic, time

from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.live.changes import changes
from torchserve_gateway.gateway.live.counters import Counters, quantile_s
from torchserve_gateway.gateway.live.shared_counters import ReadsCounters
from torchserve_gateway.gateway.prediction.admission import Admission
from torchserve_gateway.record.record import DeployedModel

INTERVAL_S = 1.0
KEPT_SAMPLES = 900
# Samples over which rates, latencies and batch sizes are means: few requests a second would give jumps.
WINDOW = 5
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class _Read:
    at_s: float
    counters: Counters


class History:
    """The last KEPT_SAMPLES samples, each as JSON.

    Args:
        reader: Reads the counters.
        routing: Holds the record in force.
        admission: Holds the queue.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        reader: ReadsCounters,
        routing: Routing,
        admission: Admission,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._reader = reader
        self._routing = routing
        self._admission = admission
        self._clock = clock
        self._samples: deque[str] = deque(maxlen=KEPT_SAMPLES)
        self._reads: deque[_Read] = deque(maxlen=WINDOW + 1)
        self._record = routing.record
        self._taken = 0

    def start(self) -> None:
        """Takes the record and the counters that the first sample is compared with."""
        self._record = self._routing.record
        self._reads.append(_Read(self._clock(), self._reader.read()))

    def sample(self, workers: Mapping[str, str]) -> None:
        """Adds a sample; the oldest leaves a full ring.

        Args:
            workers: READY and wanted workers by model and version; empty if unknown.
        """
        before, read = self._reads[-1], _Read(self._clock(), self._reader.read())
        self._reads.append(read)
        lanes = self._admission.lanes.values()
        record, self._record = self._record, self._routing.record
        facts = {
            "time": round(time(), 1),
            **self._means(read, self._reads[0]),
            "waiting": sum(lane.waiting for lane in lanes),
            "in_flight": sum(lane.in_flight for lane in lanes),
            "errors": read.counters.errors_since(before.counters),
            "workers": workers,
            "marks": changes(record, self._record),
        }
        self._samples.append(json.dumps(facts, separators=(",", ":")))
        self._taken += 1

    def since(self, taken: int) -> tuple[int, list[str]]:
        """The samples after the first `taken` of them, oldest first, and how many were taken in all."""
        new = min(self._taken - taken, len(self._samples))
        return self._taken, list(islice(self._samples, len(self._samples) - new, None))

    def _means(self, now: _Read, then: _Read) -> dict[str, object]:
        seconds = max(now.at_s - then.at_s, 1e-3)
        counts, older = now.counters, then.counters
        durations = counts.durations_since(older)
        quantiles = {name: quantile_s(durations, value) for name, value in QUANTILES.items()}
        batch_size = counts.batch_size_since(older)
        states = _states(self._routing.record.models)
        rates = {
            version: round((count - older.images.get(version, 0)) / seconds, 2)
            for version, count in counts.images.items()
        }
        # A client gets no answer of a shadowed version.
        answered = sum(rate for name, rate in rates.items() if not states.get(name, "").startswith("shadow"))
        versions = {
            name: {"images_per_s": rates.get(name, 0.0), "state": states.get(name, "")}
            for name in {**states, **{name: "" for name, rate in rates.items() if rate}}
        }
        return {
            "images_per_s": round(answered + (counts.cached - older.cached) / seconds, 2),
            "latency_ms": {name: value and round(value * 1000, 2) for name, value in quantiles.items()},
            "batch_size": batch_size and round(batch_size, 2),
            "versions": versions,
        }


def _states(models: Mapping[str, DeployedModel]) -> dict[str, str]:
    """State by model and version, a trial's with its share."""
    found = {}
    for name, model in models.items():
        for version, state in model.states.items():
            in_trial = model.trial and model.trial.version == version and state == model.trial.kind
            share = f" {model.trial.share * 100:g} %" if model.trial and in_trial else ""
            found[f"{name} {version}"] = f"{state}{share}"
    return found

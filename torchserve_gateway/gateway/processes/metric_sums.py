"""Metrics of several processes as those of one gateway."""

import json
from collections.abc import Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

# Every process counts over all processes, or knows the same limit.
SAME_IN_ALL = frozenset(
    {
        "gateway_admission_in_flight",
        "gateway_admission_waiting",
        "gateway_admission_limit",
        "process_max_fds",
    }
)
EARLIEST = ("_created", "process_start_time_seconds")
GROWING = ("counter", "histogram")


def encoded(metrics: Iterable[Metric]) -> bytes:
    """The metrics as bytes that `decoded` takes."""
    return json.dumps(
        [
            (each.name, each.documentation, each.type, [(s.name, s.labels, s.value) for s in each.samples])
            for each in metrics
        ]
    ).encode()


def decoded(data: bytes) -> list[Metric]:
    """Metrics of another process; none if there are no bytes."""
    found = []
    for name, documentation, kind, samples in json.loads(data or b"[]"):
        found.append(metric := Metric(name, documentation, kind))
        for sample, labels, value in samples:
            metric.add_sample(sample, labels, value)
    return found


def growing(metrics: Iterable[Metric]) -> list[Metric]:
    """Those that outlive their process: counters and histograms."""
    return [each for each in metrics if each.type in GROWING]


def summed(own: Iterable[Metric], others: Iterable[Metric]) -> list[Metric]:
    """The sums of all; where a sum says nothing, the process's own value comes first."""
    total = {each.name: _copy(each) for each in own}
    values = {name: {_key(each): each for each in metric.samples} for name, metric in total.items()}
    for metric in others:
        # Deployed versions of a process that is a moment behind would count twice.
        if metric.type == "info" and metric.name in total:
            continue
        known = values.setdefault(metric.name, {})
        total.setdefault(metric.name, _copy(metric))
        for sample in metric.samples:
            known[_key(sample)] = _together(known.get(_key(sample)), sample)
    for name, metric in total.items():
        metric.samples = list(values[name].values())
    return list(total.values())


def _copy(metric: Metric) -> Metric:
    copy = Metric(metric.name, metric.documentation, metric.type, metric.unit)
    copy.samples = list(metric.samples)
    return copy


def _key(sample: Sample) -> tuple[object, ...]:
    return (sample.name, *sorted(sample.labels.items()))


def _together(one: Sample | None, other: Sample) -> Sample:
    if one is None:
        return other
    if one.name in SAME_IN_ALL:
        return one
    value = min(one.value, other.value) if one.name.endswith(EARLIEST) else one.value + other.value
    return one._replace(value=value)

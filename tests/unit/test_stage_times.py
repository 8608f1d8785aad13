"""Which batches TorchServe hears of, and what every answer tells."""

from tests.handler_context import RecordingMetrics
from ts_serialize.stage_times import StageTimes


def batches(times: StageTimes, number: int) -> list[tuple[RecordingMetrics, str]]:
    """The metrics and the header of each batch."""
    found = []
    for size in range(1, number + 1):
        metrics = RecordingMetrics()
        times.begin(metrics)
        with times.measured("inference"):
            pass
        times.report("BatchSize", size, "count")
        found.append((metrics, times.header()))
    return found


def test_torchserve_gets_the_metrics_of_a_batch_in_an_interval() -> None:
    first, *later = batches(StageTimes(interval_s=3600), 3)
    assert first[0].values.keys() == {"InferenceTime", "BatchSize"}
    assert [metrics.values for metrics, _ in later] == [{}, {}]
    assert all(header.startswith("inference;dur=") for _, header in later)


def test_without_an_interval_it_gets_those_of_every_batch() -> None:
    assert [metrics.values["BatchSize"] for metrics, _ in batches(StageTimes(interval_s=0), 3)] == [1, 2, 3]

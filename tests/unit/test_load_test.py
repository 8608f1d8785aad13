"""The load test sees what is wrong: swapped answers, errors, nothing to send."""

import asyncio
import pickle
from pathlib import Path

import pytest

from torchserve_gateway.load_test.clients import WRONG_ANSWER, Client, same_answer
from torchserve_gateway.load_test.images import NoImagesError, client_images
from torchserve_gateway.load_test.sender import Answer, NoAnswerError
from torchserve_gateway.load_test.statistics import Latencies, Tally, latency_line, performance_line
from torchserve_gateway.settings.composition import PROJECT_ROOT


def test_every_client_sends_another_image() -> None:
    images = client_images(PROJECT_ROOT / "imgs", 40)
    assert len(set(images)) == 40


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoImagesError, match=tmp_path.name):
        client_images(tmp_path, 1)


def test_the_lines_are_the_ones_scripts_look_for() -> None:
    assert performance_line([60.0, 63.46]) == "Mean performance: 61.73 imgs/s with std: 1.73"
    latencies = Latencies()
    for each in [0.1] * 98 + [0.2] * 2:
        latencies.add(each)
    assert latency_line(latencies) == "Latency: p50 100 ms, p95 100 ms, p99 200 ms"


def test_latencies_of_several_processes_are_counted_together() -> None:
    processes = [Latencies() for _ in range(2)]
    for number, each in enumerate(processes):
        for ms in range(number * 50 + 1, number * 50 + 51):
            each.add(ms / 1000)
    whole = Latencies()
    for each in processes:
        sent: Latencies = pickle.loads(pickle.dumps(each))
        whole.add_all(sent)
    assert whole.count == 100
    assert whole.percentile_ms(99) == pytest.approx(99, rel=1e-3)


def test_answers_are_the_same_up_to_rounding() -> None:
    assert same_answer({"A": 0.50001, "B": 0.5}, {"A": 0.5, "B": 0.5}, 1e-4)
    assert not same_answer({"A": 0.6, "B": 0.4}, {"A": 0.5, "B": 0.5}, 1e-4)
    assert not same_answer({"A": 1.0}, {"A": 1.0, "B": 0.0}, 1e-4)
    assert not same_answer([1.0], {"A": 1.0}, 1e-4)


class Scripted:
    """Answers the first request right and every other with `later`, after which the client stops."""

    def __init__(self, later: Answer | NoAnswerError, stop: asyncio.Event) -> None:
        self._later, self._stop, self._sent = later, stop, 0

    async def post(self, path: str, body: bytes) -> Answer:
        self._sent += 1
        if self._sent == 1:
            return Answer(200, "1", b'{"A": 1.0}')
        self._stop.set()
        if isinstance(self._later, NoAnswerError):
            raise self._later
        return self._later


async def tally_of(later: Answer | NoAnswerError) -> Tally:
    """What a client counts whose first request is answered right and every other with `later`."""
    tally, stop = Tally(), asyncio.Event()
    client = Client(Scripted(later, stop), "/predictions/m", b"image", 1e-4)
    await client.learn()
    await client.run(tally, stop)
    return tally


@pytest.mark.parametrize(
    ("later", "kind"),
    [
        (Answer(200, "1", b'{"A": 0.9}'), WRONG_ANSWER),
        (Answer(200, "1", b"garbage"), "answer is not JSON"),
        (Answer(503, None, b""), "HTTP 503"),
        (NoAnswerError("ReadTimeout", "slow"), "ReadTimeout"),
    ],
)
async def test_a_failed_request_is_counted_by_kind(later: Answer | NoAnswerError, kind: str) -> None:
    tally = await tally_of(later)
    assert tally.errors == {kind: 1}
    assert tally.answered == 0


async def test_a_right_answer_is_counted_with_its_version() -> None:
    tally = await tally_of(Answer(200, "1", b'{"A": 1.0}'))
    assert (tally.answered, tally.errors, tally.versions) == (1, {}, {"1": 1})


async def test_a_version_deployed_meanwhile_is_compared_with_its_own_answer() -> None:
    tally = await tally_of(Answer(200, "2", b'{"A": 0.8}'))
    assert (tally.answered, tally.errors, tally.versions) == (1, {}, {"2": 1})

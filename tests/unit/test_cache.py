"""Kept answers are right ones, bounded, and shared without one caller's trouble becoming another's."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from tests.unit.stages import ANSWER, JOB, NextStage, Outcome, context, routing, ticks
from torchserve_gateway.gateway.prediction.cache_key import cache_key
from torchserve_gateway.gateway.prediction.cache_stores import CachedAnswer, MemoryStore
from torchserve_gateway.gateway.prediction.stages.cache import Cache, CacheControl, CacheCounts
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.settings.gateway import CacheSettings
from torchserve_gateway.torchserve_api.errors import DeadlineExceededError, RequestRefusedError
from torchserve_gateway.torchserve_api.inference import Job, Prediction

SETTINGS = CacheSettings(
    enabled=True, max_bytes=4096, max_entry_bytes=1024, ttl_s=60, redis_url=None, redis_timeout_s=1
)
ARCHIVE = "0" * 64
BOTH, FRESH, NOTHING = CacheControl(), CacheControl(may_read=False), CacheControl(False, False)


@dataclass
class Cached:
    """A cache before a model."""

    model: NextStage
    cache: Cache
    counts: CacheCounts

    async def result(self, job: Job = JOB, **request: object) -> str | None:
        """What the cache did with one more request."""
        return (await self.cache.predict(job, context(**request))).cache  # type: ignore[arg-type]

    def several(self, number: int) -> list[asyncio.Task[Prediction]]:
        """Requests at the same time."""
        return [asyncio.create_task(self.cache.predict(JOB, context())) for _ in range(number)]


def cached(*outcomes: Outcome, store: MemoryStore | None = None) -> Cached:
    model, counts = NextStage(*outcomes), CacheCounts()
    cache = Cache(routing(), store or MemoryStore(SETTINGS), counts, model)
    return Cached(model, cache, counts)


async def test_an_answer_is_given_again_without_asking() -> None:
    made = cached(replace(ANSWER, admission_s=0.2))
    first = await made.cache.predict(JOB, context())
    second = await made.cache.predict(JOB, context())
    assert (first.cache, second.cache, len(made.model.jobs)) == ("miss", "hit", 1)
    assert second.body == first.body
    # Nothing waited to be sent for the second request.
    assert (first.admission_s, second.admission_s) == (0.2, None)
    assert made.counts.by_model["genre"] == {"hit": 1, "miss": 1, "shared": 0, "bypass": 0}


async def test_any_answer_is_kept_and_counted_for_its_model() -> None:
    made = cached(replace(ANSWER, body=b"\xff\x00", content_type=None))
    for model in ("genre", "genre", "other"):
        answer = await made.cache.predict(replace(JOB, model=model), context())
        assert (answer.body, answer.content_type) == (b"\xff\x00", None)
    # The other model is not on record, so its version may change.
    assert {model: counts["hit"] for model, counts in made.counts.by_model.items()} == {"genre": 1}


async def test_requests_at_the_same_time_share_one_prediction() -> None:
    made = cached(replace(ANSWER, admission_s=0.2))
    made.model.go.clear()
    asking = made.several(5)
    await ticks()
    made.model.go.set()
    answers = await asyncio.gather(*asking)
    assert sorted(str(each.cache) for each in answers) == ["miss", *["shared"] * 4]
    assert [each.admission_s for each in answers].count(0.2) == 1
    assert len(made.model.jobs) == 1


async def test_the_first_request_may_go_away_and_the_others_get_their_answer() -> None:
    made = cached()
    made.model.go.clear()
    first, second = made.several(2)
    await ticks()
    first.cancel()
    await ticks()
    made.model.go.set()
    assert (await second).body == ANSWER.body
    assert len(made.model.jobs) == 1


class Endless:
    """A model that never answers."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def predict(self, _: Job, __: RequestContext) -> Prediction:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        return ANSWER


async def test_a_prediction_without_any_waiting_request_is_cancelled() -> None:
    model = Endless()
    cache = Cache(routing(), MemoryStore(SETTINGS), CacheCounts(), model)
    asking = [asyncio.create_task(cache.predict(JOB, context())) for _ in range(2)]
    await ticks()
    for each in asking:
        each.cancel()
    await asyncio.wait_for(model.cancelled.wait(), 5)


async def test_a_request_after_a_cancelled_prediction_gets_a_new_one() -> None:
    made = cached()
    made.model.go.clear()
    [leaving] = made.several(1)
    await ticks()
    leaving.cancel()
    # It runs before the cancelled prediction has noticed.
    [coming] = made.several(1)
    await ticks()
    made.model.go.set()
    assert (await coming).cache == "miss"


async def test_the_deadline_of_the_first_request_is_not_that_of_the_others() -> None:
    made = cached(DeadlineExceededError("the first one's"), ANSWER)
    first, second = made.several(2)
    with pytest.raises(DeadlineExceededError):
        await first
    assert (await second).body == ANSWER.body
    assert len(made.model.jobs) == 2


async def test_a_request_that_waits_for_a_shared_prediction_still_has_a_deadline() -> None:
    made = cached()
    made.model.go.clear()
    [first] = made.several(1)
    await ticks()
    with pytest.raises(DeadlineExceededError):
        await made.cache.predict(JOB, context(left_s=0.01))
    made.model.go.set()
    await first


async def test_an_image_that_the_model_refuses_is_refused_to_all_and_not_kept() -> None:
    refusal = RequestRefusedError(422, "x", "no image")
    made = cached(refusal, ANSWER)
    made.model.go.clear()
    asking = made.several(3)
    await ticks()
    made.model.go.set()
    assert await asyncio.gather(*asking, return_exceptions=True) == [refusal] * 3
    assert len(made.model.jobs) == 1
    assert await made.result() == "miss"


@pytest.mark.parametrize("status", [201, 204, 302, 404, 422])
async def test_a_status_of_the_handlers_own_is_shared_and_not_kept(status: int) -> None:
    made = cached(replace(ANSWER, status=status), ANSWER)
    made.model.go.clear()
    asking = made.several(3)
    await ticks()
    made.model.go.set()
    assert [(await each).status for each in asking] == [status] * 3
    assert len(made.model.jobs) == 1
    assert await made.result() == "miss"


async def test_a_failure_of_the_handler_is_only_the_first_requests() -> None:
    made = cached(replace(ANSWER, status=503), ANSWER)
    first, second = made.several(2)
    assert (await first).status == 503
    assert (await second).status == 200
    assert len(made.model.jobs) == 2


async def test_an_answer_of_another_version_is_not_kept() -> None:
    made = cached(replace(ANSWER, version="2.0"))
    assert [await made.result() for _ in range(2)] == ["miss", "miss"]


@pytest.mark.parametrize(
    "job",
    [replace(JOB, operation="explain"), replace(JOB, version="1.9"), replace(JOB, model="other")],
    ids=["explanation", "other version", "not on record"],
)
async def test_only_predictions_of_the_serving_version_are_kept(job: Job) -> None:
    made = cached()
    assert [await made.result(job) for _ in range(2)] == [None, None]
    assert made.model.jobs == [job, job]


@pytest.mark.parametrize(("control", "again"), [("no-cache", "hit"), ("no-store", "miss")])
async def test_a_client_may_ask_for_a_fresh_answer_and_that_none_is_kept(control: str, again: str) -> None:
    made = cached()
    assert await made.result(cache_control=control) == "bypass"
    assert await made.result() == again


@pytest.mark.parametrize(
    ("header", "control"),
    [
        ("", BOTH),
        ("max-stale=5, only-if-nonsense", BOTH),
        ("no-cache", FRESH),
        ("No-Cache", FRESH),
        ("max-age=0", FRESH),
        ("no-store", NOTHING),
        ("no-cache, no-store", NOTHING),
    ],
)
def test_the_header_is_read_as_http_means_it(header: str, control: CacheControl) -> None:
    assert CacheControl.of(header) == control


def test_everything_an_answer_depends_on_is_in_the_key() -> None:
    others = [
        replace(JOB, model="other"),
        replace(JOB, version="2.0"),
        replace(JOB, body=b"other"),
        replace(JOB, content_type="image/png"),
        replace(JOB, headers=((b"Accept-Language", b"de"),)),
        replace(JOB, headers=((b"Accept-Language", b"en"),)),
        replace(JOB, headers=((b"X-Customer", b"1"),)),
    ]
    keys = {cache_key(job, ARCHIVE) for job in [JOB, *others]} | {cache_key(JOB, "1" * 64)}
    assert len(keys) == 9


def test_what_says_nothing_of_the_content_is_not_in_the_key() -> None:
    several = replace(JOB, headers=((b"x-b", b"2"), (b"x-a", b"1")))
    same = ((b"User-Agent", b"u"), (b"X-A", b"1"), (b"Sec-Fetch-Mode", b"cors"), (b"X-B", b"2"))
    assert cache_key(several, ARCHIVE) == cache_key(replace(JOB, headers=same), ARCHIVE)


async def test_the_store_is_bounded_in_bytes_and_the_least_used_goes_first() -> None:
    store = MemoryStore(SETTINGS)
    for number in range(100):
        await store.put(str(number), CachedAnswer(b"x" * 500, None, None))
        await store.get("0")
    kept = [number for number in range(100) if await store.get(str(number))]
    # Each entry has 500 bytes besides its overhead.
    assert len(kept) <= SETTINGS.max_bytes // 500
    assert {0, 99} <= set(kept)
    assert 1 not in kept


async def test_an_answer_that_is_too_large_is_not_kept() -> None:
    store = MemoryStore(SETTINGS)
    await store.put("key", CachedAnswer(b"x" * 1025, None, None))
    assert await store.get("key") is None


async def test_headers_count_as_bytes_of_an_answer() -> None:
    store = MemoryStore(SETTINGS)
    await store.put("key", CachedAnswer(b"x", None, None, ((b"x-large", b"x" * 1024),)))
    assert await store.get("key") is None


async def test_an_answer_is_kept_for_its_time_only() -> None:
    now = [100.0]
    store = MemoryStore(SETTINGS, lambda: now[0])
    await store.put("key", CachedAnswer(b"x", None, None))
    now[0] += 59
    assert await store.get("key") is not None
    now[0] += 2
    assert await store.get("key") is None

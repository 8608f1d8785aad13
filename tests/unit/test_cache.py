"""Kept answers are right ones, bounded, and shared without one caller's trouble becoming another's."""

import asyncio
from dataclasses import replace

import pytest

from torchserve_gateway.gateway.prediction.cache import CacheControl, ResponseCache, cache_key
from torchserve_gateway.gateway.prediction.cache_stores import CachedAnswer, MemoryStore
from torchserve_gateway.settings.gateway import CacheSettings
from torchserve_gateway.torchserve_api.errors import DeadlineExceededError, RequestRefusedError
from torchserve_gateway.torchserve_api.inference import Job, Prediction

SETTINGS = CacheSettings(
    enabled=True, max_bytes=4096, max_entry_bytes=1024, ttl_s=60, redis_url=None, redis_timeout_s=1
)
JOB, ARCHIVE = Job("genre", "1.0", b"image", "image/jpeg"), "0" * 64
BOTH, FRESH, NOTHING = CacheControl(), CacheControl(may_read=False), CacheControl(False, False)


def prediction(body: bytes = b"answer") -> Prediction:
    return Prediction(body, "application/json", "1.0", 0.1, "id")


class Model:
    """Answers when told to, and counts how often it was asked."""

    def __init__(self, *outcomes: Prediction | Exception) -> None:
        self.go = asyncio.Event()
        self.asked = 0
        self._outcomes = iter(outcomes)

    async def __call__(self) -> Prediction:
        self.asked += 1
        outcome = next(self._outcomes)
        await self.go.wait()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def ticks() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_answer_is_given_again_without_asking() -> None:
    cache, model = ResponseCache(MemoryStore(SETTINGS)), Model(prediction())
    model.go.set()
    first = await cache.answer(JOB, ARCHIVE, BOTH, model, 5)
    second = await cache.answer(JOB, ARCHIVE, BOTH, model, 5)
    assert (first[1], second[1], model.asked) == ("miss", "hit", 1)
    assert second[0].body == first[0].body
    assert cache.counts.results == {"hit": 1, "miss": 1, "shared": 0, "bypass": 0}


async def test_those_who_ask_at_the_same_time_share_one_prediction() -> None:
    cache, model = ResponseCache(MemoryStore(SETTINGS)), Model(prediction())
    asking = [asyncio.create_task(cache.answer(JOB, ARCHIVE, BOTH, model, 5)) for _ in range(5)]
    await ticks()
    model.go.set()
    results = [(await each)[1] for each in asking]
    assert sorted(results) == ["miss", *["shared"] * 4]
    assert model.asked == 1


async def test_the_first_one_may_go_away_and_the_others_get_their_answer() -> None:
    cache, model = ResponseCache(MemoryStore(SETTINGS)), Model(prediction())
    first, second = (asyncio.create_task(cache.answer(JOB, ARCHIVE, BOTH, model, 5)) for _ in range(2))
    await ticks()
    first.cancel()
    await ticks()
    model.go.set()
    assert (await second)[0].body == b"answer"
    assert model.asked == 1


async def test_a_prediction_that_nobody_waits_for_any_more_is_called_off() -> None:
    cancelled = asyncio.Event()

    async def ask() -> Prediction:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()
        return prediction()

    cache = ResponseCache(MemoryStore(SETTINGS))
    asking = [asyncio.create_task(cache.answer(JOB, ARCHIVE, BOTH, ask, 5)) for _ in range(2)]
    await ticks()
    for each in asking:
        each.cancel()
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_the_deadline_of_the_first_one_is_not_that_of_the_others() -> None:
    cache = ResponseCache(MemoryStore(SETTINGS))
    model = Model(DeadlineExceededError("the first one's"), prediction())
    model.go.set()
    first, second = (asyncio.create_task(cache.answer(JOB, ARCHIVE, BOTH, model, 5)) for _ in range(2))
    with pytest.raises(DeadlineExceededError):
        await first
    assert (await second)[0].body == b"answer"
    assert model.asked == 2


async def test_who_waits_for_another_ones_prediction_still_has_a_deadline() -> None:
    cache, model = ResponseCache(MemoryStore(SETTINGS)), Model(prediction())
    first = asyncio.create_task(cache.answer(JOB, ARCHIVE, BOTH, model, 5))
    await ticks()
    with pytest.raises(DeadlineExceededError):
        await cache.answer(JOB, ARCHIVE, BOTH, model, 0.01)
    model.go.set()
    await first


async def test_what_the_model_refuses_is_refused_to_all_and_not_kept() -> None:
    refusal = RequestRefusedError(422, "x", "no image")
    cache, model = ResponseCache(MemoryStore(SETTINGS)), Model(refusal, prediction())
    asking = [asyncio.create_task(cache.answer(JOB, ARCHIVE, BOTH, model, 5)) for _ in range(3)]
    await ticks()
    model.go.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert outcomes == [refusal] * 3
    assert model.asked == 1
    assert (await cache.answer(JOB, ARCHIVE, BOTH, model, 5))[1] == "miss"


@pytest.mark.parametrize("status", [201, 204, 302, 404, 422])
async def test_a_status_of_the_handlers_own_is_shared_and_not_kept(status: int) -> None:
    own = replace(prediction(), status=status)
    cache, model = ResponseCache(MemoryStore(SETTINGS)), Model(own, prediction())
    asking = [asyncio.create_task(cache.answer(JOB, ARCHIVE, BOTH, model, 5)) for _ in range(3)]
    await ticks()
    model.go.set()
    assert [(await each)[0] for each in asking] == [own] * 3
    assert model.asked == 1
    assert (await cache.answer(JOB, ARCHIVE, BOTH, model, 5))[1] == "miss"


async def test_a_failure_of_the_handler_is_only_the_first_ones() -> None:
    cache = ResponseCache(MemoryStore(SETTINGS))
    model = Model(replace(prediction(), status=503), prediction())
    model.go.set()
    first, second = (asyncio.create_task(cache.answer(JOB, ARCHIVE, BOTH, model, 5)) for _ in range(2))
    assert (await first)[0].status == 503
    assert (await second)[0].status == 200
    assert model.asked == 2


async def test_what_another_version_answered_in_its_stead_is_not_kept() -> None:
    cache, model = ResponseCache(MemoryStore(SETTINGS)), Model(prediction(), prediction())
    model.go.set()
    for _ in range(2):
        assert (await cache.answer(replace(JOB, version="2.0"), ARCHIVE, BOTH, model, 5))[1] == "miss"


@pytest.mark.parametrize(
    ("control", "again"), [(FRESH, "hit"), (NOTHING, "miss")], ids=["no-cache", "no-store"]
)
async def test_a_client_may_ask_for_a_fresh_answer_and_that_none_is_kept(
    control: CacheControl, again: str
) -> None:
    cache, model = ResponseCache(MemoryStore(SETTINGS)), Model(*[prediction(), prediction(b"new")] * 2)
    model.go.set()
    assert (await cache.answer(JOB, ARCHIVE, control, model, 5))[1] == "bypass"
    assert (await cache.answer(JOB, ARCHIVE, BOTH, model, 5))[1] == again


@pytest.mark.parametrize(
    ("header", "control"),
    [
        (None, BOTH),
        ("", BOTH),
        ("max-stale=5, only-if-nonsense", BOTH),
        ("no-cache", FRESH),
        ("No-Cache", FRESH),
        ("max-age=0", FRESH),
        ("no-store", NOTHING),
        ("no-cache, no-store", NOTHING),
    ],
)
def test_the_header_is_read_as_http_means_it(header: str | None, control: CacheControl) -> None:
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
        assert store.kept_bytes <= SETTINGS.max_bytes
    assert await store.get("0") is not None
    assert await store.get("1") is None
    assert await store.get("99") is not None


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

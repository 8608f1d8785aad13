"""The client against made-up answers: what it sends, when it asks again, what it makes of answers."""

import asyncio
import datetime as dt
import gzip
import io
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from gateway_client import (
    AsyncGatewayClient,
    DeadlineError,
    FailedError,
    GatewayClient,
    GatewayClientError,
    ImageLike,
    InvalidAnswerError,
    Limits,
    Options,
    OverloadedError,
    Prediction,
    ProblemError,
    RateLimitedError,
    RefusedError,
    UnauthorizedError,
    UnreachableError,
    UnreadableImageError,
)
from PIL import Image

from tests import encoded_images

SMALL = encoded_images.SMALL["PNG"]
ANSWER = {"Horror": 0.9, "Drama": 0.1}
HEADERS = {
    "X-Model-Name": "genre%20a",
    "X-Model-Version": "1.0",
    "X-Request-ID": "abc",
    "Server-Timing": "gateway;dur=1.5, queue;dur=20",
}
Answers = list[httpx.Response | Exception]


def answered(content: object = ANSWER) -> httpx.Response:
    return httpx.Response(200, json=content, headers=HEADERS)


def problem(status: int, **headers: str) -> httpx.Response:
    document = {
        "type": "urn:problem:x",
        "title": "X",
        "status": status,
        "detail": "because",
        "request_id": "abc",
    }
    return httpx.Response(
        status, json=document, headers={name.replace("_", "-"): headers[name] for name in headers}
    )


class Gateway:
    """Gives one answer after the other, the last one for ever; time passes only in pauses."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.received: list[httpx.Request] = []
        self.pauses: list[float] = []
        self.now = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.received.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        # A response can be read once.
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def pause_async(self, seconds: float) -> None:
        self.pause(seconds)


Ask = Callable[..., Prediction]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Predicts with one client or the other."""

    def ask(
        gateway: Gateway, image: ImageLike = SMALL, *, options: Options | None = None, **of: str
    ) -> Prediction:
        monkeypatch.setattr("time.monotonic", lambda: gateway.now)
        monkeypatch.setattr("gateway_client.client.time.sleep", gateway.pause)
        transport = httpx.MockTransport(gateway)
        if request.param == "sync":
            with GatewayClient("http://gateway", options, transport=transport) as client:
                return client.predict(image, **of)

        async def ask_async() -> Prediction:
            async with AsyncGatewayClient("http://gateway", options, transport=transport) as client:
                return await client.predict(image, **of)

        loop = asyncio.new_event_loop()
        with monkeypatch.context() as patch:
            patch.setattr("gateway_client.client.asyncio.sleep", gateway.pause_async)
            try:
                return loop.run_until_complete(ask_async())
            finally:
                loop.close()

    return ask


def test_an_answer_has_types(ask: Ask) -> None:
    prediction = ask(Gateway(answered()))
    assert prediction.top == "Horror"
    assert prediction.probabilities == ANSWER
    assert (prediction.model, prediction.version, prediction.request_id) == ("genre a", "1.0", "abc")
    assert prediction.timings_s == {"gateway": 0.0015, "queue": 0.02}


def test_the_most_probable_class_comes_first_whatever_the_order_of_the_answer(ask: Ask) -> None:
    prediction = ask(Gateway(answered({"Drama": 0.1, "Horror": 0.9})))
    assert prediction.top == "Horror"
    assert list(prediction.probabilities) == ["Horror", "Drama"]


@pytest.mark.parametrize(
    ("of", "path"),
    [
        ({}, "/predict"),
        ({"model": "genre"}, "/predictions/genre"),
        ({"model": "a/b ä", "version": "1.0"}, "/predictions/a%2Fb%20%C3%A4/1.0"),
    ],
)
def test_the_model_chooses_the_path(ask: Ask, of: dict[str, str], path: str) -> None:
    gateway = Gateway(answered())
    ask(gateway, **of)
    assert gateway.received[0].url.raw_path == path.encode()
    assert SMALL in gateway.received[0].content


def test_a_version_needs_a_model(ask: Ask) -> None:
    with pytest.raises(ValueError, match=r"version '1\.0' of which model"):
        ask(Gateway(answered()), version="1.0")


@pytest.mark.parametrize("status", [429, 503])
def test_it_asks_again_when_it_is_told_to(ask: Ask, status: int) -> None:
    gateway = Gateway(problem(status, Retry_After="3"), problem(status, Retry_After="2"), answered())
    assert ask(gateway).top == "Horror"
    assert [3 <= gateway.pauses[0] <= 3.75, 2 <= gateway.pauses[1] <= 2.5, len(gateway.pauses)] == [
        True,
        True,
        2,
    ]
    assert len({request.headers["x-request-id"] for request in gateway.received}) == 1
    deadlines = [float(request.headers["x-request-timeout"]) for request in gateway.received]
    assert deadlines == pytest.approx([30, 30 - gateway.pauses[0], 30 - sum(gateway.pauses)], abs=0.001)


def test_a_date_is_waited_for(ask: Ask) -> None:
    date = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20), usegmt=True)
    gateway = Gateway(problem(503, Retry_After=date), answered())
    ask(gateway)
    assert 0 < gateway.pauses[0] <= 25


@pytest.mark.parametrize("retry_after", ["soon", "-1", ""])
def test_without_a_time_that_can_be_understood_pauses_grow(ask: Ask, retry_after: str) -> None:
    gateway = Gateway(*[problem(503, Retry_After=retry_after)] * 5, answered())
    ask(gateway)
    assert all(0.1 * 2**n <= pause <= 0.125 * 2**n for n, pause in enumerate(gateway.pauses))
    assert len(gateway.pauses) == 5


def test_a_gateway_that_is_started_again_is_waited_for(ask: Ask) -> None:
    gateway = Gateway(httpx.ConnectError("refused"), httpx.ConnectError("refused"), answered())
    assert ask(gateway).top == "Horror"


def test_a_certificate_that_is_not_trusted_is_not_asked_for_again(ask: Ask) -> None:
    error = httpx.ConnectError("verify failed")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed")
    gateway = Gateway(error)
    with pytest.raises(UnreachableError, match="verify failed"):
        ask(gateway)
    assert gateway.pauses == []


class Dripping(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A byte a second, so that no single read takes long."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(1000):
            self.gateway.now += 1
            yield b" "

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for byte in self:
            # The event loop gets its turn, as it does where a socket is read.
            await asyncio.get_running_loop().run_in_executor(None, int)
            yield byte


class DrippingGateway(Gateway):
    """Answers at once, and never completely."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.received.append(request)
        return httpx.Response(200, stream=Dripping(self))


def test_an_answer_that_drips_in_is_given_up_at_the_deadline(ask: Ask) -> None:
    gateway = DrippingGateway()
    with pytest.raises(DeadlineError):
        ask(gateway, options=Options(deadline_s=10))
    assert 10 <= gateway.now <= 20
    assert len(gateway.received) == 1


class SlowGateway(Gateway):
    """Answers after 10.5 s."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.now += 10.5
        return super().__call__(request)


@pytest.mark.parametrize("status", [408, 504])
def test_what_the_gateway_says_of_a_deadline_that_is_over_is_a_deadline_error(ask: Ask, status: int) -> None:
    with pytest.raises(DeadlineError, match="within 10 s") as caught:
        ask(SlowGateway(problem(status)), options=Options(deadline_s=10))
    assert isinstance(caught.value.__cause__, ProblemError)
    assert caught.value.__cause__.problem.status == status


class CompressingGateway(Gateway):
    """As a proxy before a gateway may do it."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        content = gzip.compress(json.dumps(ANSWER).encode())
        return httpx.Response(200, content=content, headers={"Content-Encoding": "gzip"})


def test_a_compressed_answer_is_read(ask: Ask) -> None:
    assert ask(CompressingGateway()).top == "Horror"


@pytest.mark.parametrize(
    ("answers", "error", "attempts"),
    [
        ([problem(400)], RefusedError, 1),
        ([problem(401)], UnauthorizedError, 1),
        ([problem(403)], UnauthorizedError, 1),
        # A limit of the gateway's own, as the deadline is not over.
        ([problem(408)], RefusedError, 1),
        ([problem(500)], FailedError, 1),
        ([problem(502, Retry_After="1")], FailedError, 1),
        ([problem(504)], FailedError, 1),
        # Not even waited for: it would be too late then.
        ([problem(503, Retry_After="60")], OverloadedError, 1),
        ([problem(429, Retry_After="60")], RateLimitedError, 1),
        ([problem(503, Retry_After="20")], OverloadedError, 2),
        # It may have been predicted.
        ([httpx.ReadError("broken")], UnreachableError, 1),
        ([httpx.ReadTimeout("slow")], DeadlineError, 1),
        ([httpx.DecodingError("not gzip")], InvalidAnswerError, 1),
        ([answered([1])], InvalidAnswerError, 1),
        ([answered({"Horror": "high"})], InvalidAnswerError, 1),
        ([httpx.Response(200, content=b"<html>")], InvalidAnswerError, 1),
        ([httpx.Response(502, content=b"<html>proxy")], FailedError, 1),
    ],
)
def test_otherwise_the_error_says_what_it_was(
    ask: Ask, answers: Answers, error: type[GatewayClientError], attempts: int
) -> None:
    gateway = Gateway(*answers)
    with pytest.raises(error) as caught:
        ask(gateway)
    assert type(caught.value) is error
    assert len(gateway.received) == attempts


def test_it_gives_up_when_its_time_is_over(ask: Ask) -> None:
    gateway = Gateway(httpx.ConnectError("refused"))
    with pytest.raises(UnreachableError):
        ask(gateway, options=Options(deadline_s=4))
    assert 2 < sum(gateway.pauses) <= 4


def test_a_problem_is_kept_with_the_error(ask: Ask) -> None:
    with pytest.raises(RefusedError, match="415: because") as caught:
        ask(Gateway(problem(415)))
    assert caught.value.problem.request_id == "abc"
    assert caught.value.problem.type == "urn:problem:x"


def test_a_key_is_sent(ask: Ask) -> None:
    gateway = Gateway(answered())
    ask(gateway, options=Options(api_key="secret"))
    assert gateway.received[0].headers["authorization"] == "Bearer secret"


def test_files_and_pictures_are_sent_too(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "poster.png"
    file.write_bytes(SMALL)
    gateway = Gateway(answered())
    ask(gateway, file)
    ask(gateway, Image.new("RGB", (4, 4), "red"))
    assert b'filename="poster.png"' in gateway.received[0].content
    assert b"PNG" in gateway.received[1].content


def test_a_picture_is_turned_upright_too(ask: Ask) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned right
    file = encoded_images.encoded(Image.new("RGB", (40, 20), "red"), "JPEG", exif=exif)
    gateway = Gateway(answered())
    ask(gateway, Image.open(io.BytesIO(file)), model="genre")
    assert Image.open(io.BytesIO(gateway.received[0].content)).size == (20, 40)


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(ask: Ask, tmp_path: Path) -> None:
    gateway = Gateway(answered())
    with pytest.raises(UnreadableImageError, match=r"poster\.png cannot be read"):
        ask(gateway, tmp_path / "poster.png")
    assert not gateway.received


def items(*answers: bool) -> httpx.Response:
    refused = {"type": "urn:problem:x", "status": 415, "detail": "no image"}
    return answered([{"prediction": ANSWER} if answer else {"error": refused} for answer in answers])


def test_a_batch_is_sent_in_parts_and_answered_in_order() -> None:
    gateway = Gateway(items(True, False), items(True))
    limits = Limits(max_batch_images=2)
    with GatewayClient("http://g", Options(limits=limits), transport=httpx.MockTransport(gateway)) as client:
        first, second, third = client.predict_batch([SMALL, b"x", SMALL])
    assert isinstance(first, Prediction)
    assert isinstance(third, Prediction)
    assert isinstance(second, RefusedError)
    assert second.problem.detail == "no image"
    assert [request.content.count(b"filename=") for request in gateway.received] == [2, 1]


def test_an_image_that_cannot_be_sent_does_not_keep_the_others_of_a_batch_from_their_answers(
    tmp_path: Path,
) -> None:
    gateway = Gateway(items(True, True))
    limits = Limits(max_bytes=5000)
    images: list[ImageLike] = [tmp_path / "missing", SMALL, b"x" * 6000, SMALL]
    with GatewayClient("http://g", Options(limits=limits), transport=httpx.MockTransport(gateway)) as client:
        missing, first, too_large, second = client.predict_batch(images)
    assert "missing cannot be read" in str(missing)
    assert "5000 are allowed" in str(too_large)
    assert [type(each) for each in (first, second)] == [Prediction, Prediction]


def test_the_parts_of_a_batch_have_the_request_id_of_the_caller() -> None:
    gateway = Gateway(items(True))
    limits = Limits(max_batch_images=1)
    with GatewayClient("http://g", Options(limits=limits), transport=httpx.MockTransport(gateway)) as client:
        client.predict_batch([SMALL, SMALL], request_id="mine")
    assert [request.headers["x-request-id"] for request in gateway.received] == ["mine", "mine"]


def test_a_batch_is_no_larger_than_a_request_may_be() -> None:
    gateway = Gateway(items(True), items(True))
    limits = Limits(max_batch_bytes=len(SMALL) + 100)
    with GatewayClient("http://g", Options(limits=limits), transport=httpx.MockTransport(gateway)) as client:
        assert len(client.predict_batch([SMALL, SMALL])) == 2
    assert len(gateway.received) == 2


@pytest.mark.parametrize("answer", [items(True), answered({}), answered([{}, {}]), answered([1, 2])])
def test_a_batch_that_is_answered_wrong_is_an_error(answer: httpx.Response) -> None:
    client = GatewayClient("http://g", transport=httpx.MockTransport(Gateway(answer)))
    with client, pytest.raises(InvalidAnswerError):
        client.predict_batch([SMALL, SMALL])


@pytest.mark.parametrize(
    ("answer", "is_ready"), [(answered(), True), (problem(503), False), (httpx.ConnectError("x"), False)]
)
def test_ready_is_asked_once(answer: httpx.Response | Exception, is_ready: bool) -> None:
    gateway = Gateway(answer)
    with GatewayClient("http://g", transport=httpx.MockTransport(gateway)) as client:
        assert client.ready() is is_ready
    assert len(gateway.received) == 1


def test_what_is_deployed_has_types() -> None:
    row = {
        "model": "genre",
        "version": "1.0",
        "state": "serving",
        "default_on": 1,
        "on": 1,
        "of": 1,
        "workers_ready": 2,
        "workers": 2,
        "batch_size": 8,
        "max_batch_delay": 20,
        "queued": 0,
        "since": None,
    }
    with GatewayClient("http://g", transport=httpx.MockTransport(Gateway(answered([row])))) as client:
        [version] = client.models()
    assert (version.version, version.workers_ready, version.batch_size) == ("1.0", 2, 8)


def test_a_traced_caller_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "gateway_client.api.propagate.inject", lambda headers: headers.update(traceparent="00-1-2-01")
    )
    gateway = Gateway(answered())
    with GatewayClient("http://g", transport=httpx.MockTransport(gateway)) as client:
        client.predict(SMALL)
    assert gateway.received[0].headers["traceparent"] == "00-1-2-01"

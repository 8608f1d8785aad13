"""What becomes of a request that cannot be sent, and of a segment that would leave its place."""

import httpx
import pytest

from tests.composed_settings import gateway_settings
from tests.fake_torchserve import FakeTorchServe
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import (
    InvalidAnswerError,
    InvalidRequestError,
    NotConnectedError,
    TorchServeError,
    UnreachableError,
)
from torchserve_gateway.torchserve_api.inference import Job
from torchserve_gateway.torchserve_api.transport import path_of


def torchserve(answer: httpx.Response | Exception) -> TorchServe:
    settings = gateway_settings().torchserve
    return TorchServe.at(settings, httpx.MockTransport(FakeTorchServe(answer)))


@pytest.mark.parametrize("segment", ["", ".", "..", "a/b", "../models", "/"])
def test_a_segment_that_would_not_stay_one_is_refused(segment: str) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be a name"):
        path_of("predictions", segment)


@pytest.mark.parametrize(
    ("segment", "quoted"),
    [
        ("%2e%2e", "%252e%252e"),
        ("..%2f", "..%252f"),
        ("...", "..."),
        ("a?b=c", "a%3Fb%3Dc"),
        ("a#b", "a%23b"),
        ("a;b", "a%3Bb"),
        ("..\\x", "..%5Cx"),
        ("a b", "a%20b"),
        ("\x00\r\n", "%00%0D%0A"),
        ("ü", "%C3%BC"),
    ],
)
def test_any_other_segment_stays_one(segment: str, quoted: str) -> None:
    path = path_of("predictions", segment, "ping")
    assert path == f"/predictions/{quoted}/ping"
    assert httpx.URL(f"http://torchserve{path}").raw_path == path.encode()


@pytest.mark.parametrize("model", ["", ".", "..", "../x", "a/b"])
async def test_the_management_api_never_gets_a_path_that_its_caller_did_not_mean(model: str) -> None:
    fake = FakeTorchServe()
    settings = gateway_settings().torchserve
    management = TorchServe.at(settings, httpx.MockTransport(fake)).management
    for call in (
        management.describe(model),
        management.unregister(model, "1.0"),
        management.unregister("m", model),
        management.set_default(model, "1.0"),
        management.scale(model, None, {"min_worker": 1}),
    ):
        with pytest.raises(InvalidRequestError):
            await call
    assert fake.requests == []


@pytest.mark.parametrize(
    ("raised", "becomes"),
    [
        (httpx.LocalProtocolError("Illegal header value"), InvalidRequestError),
        (httpx.UnsupportedProtocol("no scheme"), InvalidRequestError),
        (httpx.InvalidURL("URL too long"), InvalidRequestError),
        (httpx.DecodingError("not gzip"), InvalidAnswerError),
        (httpx.ConnectError("refused"), NotConnectedError),
        (httpx.ConnectTimeout("silence"), NotConnectedError),
        (httpx.ReadError(""), UnreachableError),
        (httpx.WriteError("broken pipe"), UnreachableError),
        (httpx.RemoteProtocolError("closed"), UnreachableError),
    ],
)
async def test_a_mistake_of_ours_is_told_from_an_outage(
    raised: Exception, becomes: type[TorchServeError]
) -> None:
    with pytest.raises(TorchServeError) as caught:
        await torchserve(raised).inference.predict(Job("m", None, b"x", "image/jpeg"), 5)
    assert type(caught.value) is becomes
    # An exception without a text is named.
    assert str(raised) or type(raised).__name__ in str(caught.value)


@pytest.mark.parametrize("content_type", ["image/ü", "image/jpeg\r\nX-A: b", "image/\ud800"])
async def test_a_header_that_http_cannot_carry_is_a_mistake_of_the_request(content_type: str) -> None:
    settings = gateway_settings("torchserve.inference_url=http://127.0.0.1:9").torchserve
    async with TorchServe.at(settings).http as http:
        del http
        with pytest.raises(TorchServeError) as caught:
            await TorchServe.at(settings).inference.predict(Job("m", None, b"x", content_type), 5)
    assert isinstance(caught.value, InvalidRequestError | NotConnectedError)


async def test_a_path_that_no_url_holds_is_a_mistake_of_the_request() -> None:
    with pytest.raises(InvalidRequestError):
        await torchserve(httpx.Response(200)).inference.predict(Job("!" * 70_000, None, b"x", ""), 5)


async def test_a_body_over_torchserves_limit_is_named() -> None:
    with pytest.raises(TorchServeError, match="413: the body is over its max_request_size"):
        await torchserve(httpx.Response(413)).inference.predict(Job("m", None, b"x", ""), 5)

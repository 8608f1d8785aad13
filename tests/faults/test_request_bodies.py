"""Bodies as clients of all kinds write them reach the handler, or get an error that says what is wrong."""

import base64
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import pytest_asyncio

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe
from tests.served_gateway import gateway, shared_gateway
from torchserve_gateway.gateway.intake.handler_bodies import read_as_handler
from ts_serialize.request_image import image_bytes

JPEG = SMALL["JPEG"]
TEXT = base64.b64encode(JPEG).decode()
LINES = base64.encodebytes(JPEG).decode()
URL_SAFE = base64.urlsafe_b64encode(JPEG).decode().rstrip("=")
DATA_URL = f"data:image/jpeg;base64,{TEXT}"
FORM = "multipart/form-data; boundary=b"
URLENCODED = "application/x-www-form-urlencoded"
PREDICTIONS = "/predictions/genre"
Post = Callable[..., Awaitable[tuple[httpx.Response, list[httpx.Request]]]]
IN_JSON = json.dumps({"data": TEXT}).encode()


def form(field: str, content: bytes = JPEG, *, more: str = "") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{field}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n--b--\r\n"


def received(request: httpx.Request) -> bytes:
    """The image that the handler finds in what TorchServe is sent."""
    return image_bytes(read_as_handler(request.content, request.headers["content-type"]).row)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def post() -> AsyncIterator[Post]:
    """Posts a body of a type; gives the answer, and what TorchServe was sent for it."""
    torchserve = FakeTorchServe()

    async def post(
        path: str, content: bytes, content_type: str | None = None, **headers: str
    ) -> tuple[httpx.Response, list[httpx.Request]]:
        torchserve.requests.clear()
        types = {"content-type": content_type} if content_type else {}
        response = await client.post(path, content=content, headers=types | headers)
        return response, list(torchserve.requests)

    async with gateway(torchserve) as client:
        yield post


@pytest.mark.parametrize(
    "content_type",
    [
        FORM,
        "MULTIPART/FORM-DATA; boundary=b",
        'Multipart/Form-Data ; CHARSET=utf-8; Boundary="b"',
        "multipart/form-data; boundary=b; charset=nonesuch",
    ],
)
@pytest.mark.parametrize(
    "preamble", [b"", b"\r\n", b"This is a message in MIME format.\r\n", b"--\r\n\r\n-b\r\n"]
)
@pytest.mark.parametrize("epilogue", [b"", b"\r\n", b"And this is its end.\r\n--b\r\n"])
@pytest.mark.parametrize(
    ("path", "field"), [("/predict", "file"), ("/predict/batch", "files"), (PREDICTIONS, "data")]
)
async def test_a_form_is_read_whatever_is_around_it(
    post: Post, path: str, field: str, content_type: str, preamble: bytes, epilogue: bytes
) -> None:
    body = preamble + form(field, more='; filename="a"') + epilogue
    response, [request] = await post(path, body, content_type)
    assert response.status_code == 200
    assert received(request) == JPEG


async def test_what_torchserve_is_sent_has_a_type_that_it_knows(post: Post) -> None:
    """TorchServe compares types by case, and reads no form behind a preamble."""
    for content_type in (
        "APPLICATION/JSON",
        "Application/Json ; charset=utf-8",
        "text/json",
        "image/png",
        None,
    ):
        _, [request] = await post(PREDICTIONS, IN_JSON, content_type)
        assert request.headers["content-type"] == "application/json"
    _, [request] = await post(PREDICTIONS, b"preamble\r\n" + form("data"), FORM.upper().replace("=B", "=b"))
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert request.content.startswith(b"--")


@pytest.mark.parametrize(
    "more",
    [
        "",
        '; filename=""',
        "; filename*=UTF-8''a%20b.jpg",
        "; FILENAME* = utf-8'en'a.jpg",
        "; filename*=nonesuch'x",
        "; filename*=",
        "; filename*=utf-7''+AC0-",
    ],
)
@pytest.mark.parametrize(
    ("path", "field"), [("/predict", "file"), ("/predict/batch", "files"), (PREDICTIONS, "data")]
)
async def test_an_image_needs_no_file_name(post: Post, path: str, field: str, more: str) -> None:
    response, [request] = await post(path, form(field, more=more), FORM)
    assert response.status_code == 200
    assert received(request) == JPEG


@pytest.mark.parametrize(
    ("more", "filename"),
    [
        ("", ""),
        ("; filename*=UTF-8''%E6%97%A5%20b.jpg", "日 b.jpg"),
        ("; filename*=iso-8859-1'de'%FC.jpg", "ü.jpg"),
        ("; filename=\"plain.jpg\"; filename*=UTF-8''other.jpg", "plain.jpg"),
        ('; filename="../../etc/passwd"', "passwd"),
        ("; filename*=UTF-8''..%2F..%5Ca%0d%0a%00b.jpg", "ab.jpg"),
        ('; filename="a\x1b[31m\x7fb"', "a[31mb"),
        ("; filename*=UTF-8''gpj.%E2%80%AEexe", "gpj.exe"),
        ('; filename="a\u202fb.png"', "a\u202fb.png"),
        (f'; filename="{"a" * 3000}"', "a" * 255),
    ],
)
async def test_the_answer_has_the_name_of_the_file_and_nothing_else(
    post: Post, more: str, filename: str
) -> None:
    response, _ = await post("/predict/batch", form("files", more=more), FORM)
    assert [each["filename"] for each in response.json()] == [filename]


async def test_parts_without_a_file_name_count_as_files(post: Post) -> None:
    body = form("files").removesuffix(b"--b--\r\n") * 40 + b"--b--\r\n"
    response, _ = await post("/predict/batch", body, FORM)
    assert response.status_code == 413
    assert "more files than the allowed 32" in response.json()["detail"]


@pytest.mark.parametrize("field", ['im\\"age', "bild\u00fc", "a%22b", ""])
async def test_an_error_names_the_fields_there_are(post: Post, field: str) -> None:
    for path in ("/predict", "/predict/batch", PREDICTIONS):
        response, requests = await post(path, form(field), FORM)
        assert response.status_code == 400
        assert field.replace("\\", "") in response.json()["detail"]
        assert requests == []


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (IN_JSON, None),
        (IN_JSON, URLENCODED),
        (IN_JSON, "text/plain"),
        (b" \r\n\t" + IN_JSON, "application/json"),
        (b"\xef\xbb\xbf" + IN_JSON, "application/json"),
        (IN_JSON.decode().encode("utf-16"), None),
        (json.dumps({"data": LINES}).encode(), "application/json"),
        (json.dumps({"body": URL_SAFE}).encode(), "application/json"),
        (json.dumps({"data": DATA_URL}).encode(), "application/json"),
        (json.dumps(DATA_URL).encode(), "application/json"),
        (LINES.encode(), "text/plain"),
        (LINES.encode(), "TEXT/Plain; charset=us-ascii"),
        (LINES.encode("utf-16"), "text/plain"),
        (LINES.encode(), None),
        (LINES.encode(), URLENCODED),
        (URL_SAFE.encode(), URLENCODED),
        (DATA_URL.encode(), "application/octet-stream"),
        (JPEG, "text/plain"),
        (JPEG, "application/json"),
        (JPEG, URLENCODED),
        (form("data", DATA_URL.encode()), FORM),
        (form("data", LINES.encode(), more="\r\nContent-Type: text/plain"), FORM),
        (form("data", IN_JSON), FORM),
        (form("data", IN_JSON, more="\r\nContent-Type: Application/JSON"), FORM),
        (str(httpx.QueryParams({"data": TEXT, "k": "5"})).encode(), URLENCODED),
        (str(httpx.QueryParams({"k": "\u00fc", "data": DATA_URL})).encode(), URLENCODED.upper()),
        # What curl -d sends of base64: nothing is escaped.
        (f"data={TEXT}".encode(), URLENCODED),
    ],
)
async def test_an_image_is_found_however_it_is_written(
    post: Post, content: bytes, content_type: str | None
) -> None:
    for path in (PREDICTIONS, "/explanations/genre/1.0"):
        response, [request] = await post(path, content, content_type)
        assert response.status_code == 200
        assert received(request) == JPEG


@pytest.mark.parametrize("text", [LINES, URL_SAFE, DATA_URL])
async def test_protocols_of_kserve_read_the_same_base64(post: Post, text: str) -> None:
    tensor = {"name": "x", "shape": [1], "datatype": "BYTES", "data": [text]}
    for path, body in (
        ("/v1/models/genre:predict", {"instances": [{"b64": text}]}),
        ("/v2/models/genre/infer", {"inputs": [tensor]}),
    ):
        response, [request] = await post(path, b"\xef\xbb\xbf" + json.dumps(body).encode())
        assert response.status_code == 200
        assert request.content == JPEG


@pytest.mark.parametrize("content", [DATA_URL.encode(), LINES.encode()])
async def test_a_form_field_of_base64_is_an_image_like_another(post: Post, content: bytes) -> None:
    """As a page sends that appends `canvas.toDataURL()` to its form."""
    for path, field in (("/predict", "file"), ("/predict/batch", "files")):
        response, [request] = await post(path, form(field, content), FORM)
        assert response.status_code == 200
        assert request.content == JPEG


@pytest.mark.parametrize(
    ("content", "content_type", "status", "said"),
    [
        (b'{"data": "AAAA"', None, 400, "the JSON cannot be read: Expecting ',' delimiter: line 1 column 16"),
        (b'{"instances": []}', None, 400, "/v1/models/{model}:predict"),
        (b'{"inputs": []}', "application/json", 400, "/v2/models/{model}/infer"),
        (b'{"image": "AAAA", "k": 5}', "application/json", 400, "got image, k"),
        (b'{"data": "!"}', None, 400, "the character '!' is not one of base64"),
        (f"image={TEXT}".encode(), URLENCODED, 400, "got image"),
        (b"a=b&" * 1001, URLENCODED, 400, "more than 1000 fields"),
        (b"data=" + b"%41" * 400_001, URLENCODED, 400, "more than 400000 escaped characters"),
        (b"data:image/png,x", "text/plain", 400, "the data: URL does not begin"),
        (b"hello", None, 415, "the 5 bytes are not an image"),
    ],
)
async def test_an_error_says_what_is_wrong(
    post: Post, content: bytes, content_type: str | None, status: int, said: str
) -> None:
    response, requests = await post(PREDICTIONS, content, content_type)
    assert response.status_code == status
    assert said in response.json()["detail"]
    assert requests == []


@pytest.mark.parametrize(
    ("content", "sent", "forwarded"),
    [
        (b"data=hello&k=5", URLENCODED, URLENCODED),
        ("data=h\u00e9".encode(), URLENCODED, URLENCODED),
        (JPEG, URLENCODED, "application/octet-stream"),
        (b"{}", "Application/JSON; Charset=UTF-8", "application/json; Charset=UTF-8"),
        (b"{}", "application/octet-stream", "application/octet-stream"),
        (b"--b\r\n", "MULTIPART/FORM-DATA; boundary=B", "multipart/form-data; boundary=B"),
    ],
)
async def test_another_model_gets_what_the_client_sent(
    post: Post, content: bytes, sent: str, forwarded: str
) -> None:
    response, [request] = await post("/predictions/reviews", content, sent)
    assert response.status_code == 200
    assert request.content == content
    assert request.headers["content-type"] == forwarded


ROUTES = [
    ("/predict", form("file"), FORM),
    ("/predict/batch", form("files"), FORM),
    (PREDICTIONS, JPEG, "image/jpeg"),
    ("/explanations/genre", IN_JSON, "application/json"),
    ("/predictions/reviews", JPEG, "image/jpeg"),
    ("/v1/models/genre:predict", json.dumps({"instances": [TEXT]}).encode(), "application/json"),
    ("/v1/models/reviews:predict", json.dumps({"instances": [TEXT]}).encode(), "application/json"),
    (
        "/v2/models/genre/infer",
        json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [TEXT]}]}).encode(),
        "application/json",
    ),
]


@pytest.mark.parametrize(("path", "body", "content_type"), ROUTES)
async def test_a_compressed_body_is_read_on_every_route(
    post: Post, path: str, body: bytes, content_type: str
) -> None:
    codings: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "X-GZIP": gzip.compress,
        "deflate": zlib.compress,
        "Identity": bytes,
        "": bytes,
    }
    for coding, compress in codings.items():
        response, [request] = await post(path, compress(body), content_type, **{"content-encoding": coding})
        assert response.status_code == 200
        assert received(request) == JPEG
        assert "content-encoding" not in request.headers


@pytest.mark.parametrize(("path", "body", "content_type"), ROUTES)
async def test_what_cannot_be_decompressed_is_told(
    post: Post, path: str, body: bytes, content_type: str
) -> None:
    for coding in ("br", "zstd", "gzip, gzip", "x-nonesuch"):
        response, requests = await post(path, body, content_type, **{"content-encoding": coding})
        assert response.status_code == 415
        assert coding in response.json()["detail"]
        assert response.headers["accept-encoding"] == "gzip, deflate"
        assert requests == []
    for damaged in (body, gzip.compress(body)[:-1], gzip.compress(body)[:20]):
        response, requests = await post(path, damaged, content_type, **{"content-encoding": "gzip"})
        assert response.status_code == 400
        assert "gzip" in response.json()["detail"]
        assert requests == []


@pytest.mark.parametrize(("path", "body", "content_type"), ROUTES)
async def test_a_bomb_is_refused_at_the_limit(path: str, body: bytes, content_type: str) -> None:
    bomb, sent = gzip.compress(body + bytes(50_000_000), compresslevel=1), 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for start in range(0, len(bomb), 500):
            sent += 500
            yield bomb[start : start + 500]

    headers = {"content-type": content_type, "content-encoding": "gzip"}
    torchserve = FakeTorchServe()
    async with shared_gateway(torchserve, "gateway.max_batch_request_bytes=6553500") as client:
        response = await client.post(path, content=chunks(), headers=headers)
    assert response.status_code == 413
    assert sent < len(bomb) / 5
    assert torchserve.requests == []

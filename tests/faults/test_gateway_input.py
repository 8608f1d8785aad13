"""Whatever is sent as an image gets its own answer, and only what may be one reaches TorchServe."""

import base64
import email
import email.message
import email.policy
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import httpx
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.encoded_images import FORMATS, SMALL
from tests.fake_torchserve import FakeTorchServe
from tests.random_forms import FORM_TYPES, FORMS
from tests.served_gateway import gateway, shared_gateway
from tools.bench.hostile_clients.bodies import blank

LIMIT = 10_000
JPEG = SMALL["JPEG"]
# What a request about an image may end with while TorchServe is well.
STATUSES = {200, 400, 404, 413, 415, 422}
Way = Callable[[bytes], httpx.Request]


def as_upload(image: bytes) -> httpx.Request:
    return httpx.Request("POST", "http://gateway/predict", files={"file": ("a.jpg", image)})


def as_raw_body(image: bytes) -> httpx.Request:
    return httpx.Request("PUT", "http://gateway/predictions/genre", content=image)


def as_form(image: bytes) -> httpx.Request:
    return httpx.Request("POST", "http://gateway/predictions/genre/1.0", files={"data": ("a.jpg", image)})


def as_plain_form_field(image: bytes) -> httpx.Request:
    return httpx.Request("POST", "http://gateway/predictions/genre", files={"body": (None, image)})


def as_json(image: bytes) -> httpx.Request:
    text = base64.b64encode(image).decode()
    return httpx.Request("POST", "http://gateway/predictions/genre", json={"data": text})


def as_text(image: bytes) -> httpx.Request:
    headers = {"content-type": "text/plain; charset=utf-8"}
    text = base64.b64encode(image)
    return httpx.Request("POST", "http://gateway/predictions/genre", content=text, headers=headers)


WAYS = (as_upload, as_raw_body, as_form, as_plain_form_field, as_json, as_text)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(FakeTorchServe(), f"gateway.max_request_bytes={LIMIT}") as client:
        yield client


def form_of(request: httpx.Request) -> dict[str, bytes]:
    """The parts of a form, as Python's own parser reads them."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.content, policy=email.policy.HTTP)
    return {part["content-disposition"].params["name"]: payload_of(part) for part in message.iter_parts()}


def payload_of(part: email.message.Message) -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


def is_problem(response: httpx.Response) -> bool:
    problem = response.json()
    return bool(
        response.headers["content-type"] == "application/problem+json"
        and problem["status"] == response.status_code
        and problem["request_id"] == response.headers["x-request-id"]
        and problem["title"]
        and problem["detail"]
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("format_", FORMATS)
async def test_an_image_is_forwarded_however_it_is_sent(way: Way, format_: str) -> None:
    torchserve = FakeTorchServe()
    request = way(SMALL[format_])
    async with shared_gateway(torchserve) as client:
        assert (await client.send(request)).status_code == 200
    [forwarded] = torchserve.requests
    if way in (as_form, as_plain_form_field):
        assert form_of(forwarded) in ({"data": SMALL[format_]}, {"body": SMALL[format_]})
    else:
        assert forwarded.content == (SMALL[format_] if way is as_upload else request.read())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("image", "status"),
    [
        (b"", 400),
        (b"no image", 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        (b"<!DOCTYPE html><script>alert(1)</script>", 415),
        (b"%PDF-1.7\n", 415),
        (JPEG[:20], 422),
        (blank(20_000, 20_000), 413),
        (blank(8_000, 8_000), 413),
    ],
)
async def test_what_is_no_image_we_serve_never_reaches_torchserve(
    way: Way, image: bytes, status: int
) -> None:
    torchserve = FakeTorchServe()
    async with shared_gateway(torchserve) as client:
        response = await client.send(way(image))
    assert response.status_code == status
    assert is_problem(response)
    assert torchserve.requests == []


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 9_000, "application/json", 400),
        (b"[]", "application/json", 400),
        (b"[" + b"[]," * 2_000 + b"0]", "application/json", 400),
        (b'{"data": 7}', "application/json", 400),
        (b'{"data": "\\ud800"}', "application/json", 400),
        (b'{"image": ""}', "application/json", 400),
        (b"\xff\xfe", "text/plain", 415),
        (b"not base64!", "text/plain", 400),
        (b"--b\r\n\r\n", "multipart/form-data; boundary=b", 400),
        (b"--b--", "multipart/form-data; boundary=b", 400),
        (b"--b--", "multipart/mixed; boundary=b", 415),
        (JPEG, "multipart/form-data", 400),
        (JPEG, "image/jp\xe9g".encode("latin-1"), 400),
    ],
)
async def test_a_body_with_no_image_where_the_handler_looks(
    client: httpx.AsyncClient, content: bytes, content_type: str | bytes, status: int
) -> None:
    headers = [(b"content-type", content_type.encode() if isinstance(content_type, str) else content_type)]
    response = await client.post("/predictions/genre", content=content, headers=headers)
    assert response.status_code == status
    assert is_problem(response)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", None),
        (b"no image", "text/plain"),
        (b'{"text": "a review"}', "application/json"),
        (b"{", "application/json"),
        (b"--b\r\nbroken", "multipart/form-data; boundary=b"),
        (blank(20_000, 20_000), "image/png"),
    ],
)
async def test_what_other_models_take_is_passed_on_untouched(
    content: bytes, content_type: str | None
) -> None:
    torchserve = FakeTorchServe()
    async with shared_gateway(torchserve) as client:
        headers = {"content-type": content_type} if content_type else {}
        response = await client.post("/predictions/reviews", content=content, headers=headers)
    assert response.status_code == 200
    [forwarded] = torchserve.requests
    assert forwarded.content == content
    assert forwarded.headers["content-type"] == content_type or not content_type


@pytest.mark.parametrize(("filename", "status"), [("", 400), ('; filename="a.jpg"', 413)])
async def test_a_form_of_thousands_of_parts_is_refused_at_the_first_too_many(
    filename: str, status: int
) -> None:
    part = f'--b\r\nContent-Disposition: form-data; name="x"{filename}\r\n\r\n\r\n'.encode()
    sent = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(10_000):
            sent += 1
            yield part

    torchserve = FakeTorchServe()
    headers = {"content-type": "multipart/form-data; boundary=b"}
    async with gateway(torchserve) as client:
        for path in ("/predict", "/predict/batch"):
            sent = 0
            response = await client.post(path, content=parts(), headers=headers)
            assert response.status_code == status
            assert is_problem(response)
            assert sent < 1100
        response = await client.post("/predictions/genre", content=part * 10_000, headers=headers)
        assert response.status_code == status
    assert torchserve.requests == []


@pytest.mark.parametrize(
    "header", ["x: y\r\n" * 9, f"x: {'y' * 5000}\r\n", ": y\r\n", "x y\r\n", "\u20ac: y\r\n"]
)
async def test_a_part_with_strange_headers_is_400(client: httpx.AsyncClient, header: str) -> None:
    disposition = 'Content-Disposition: form-data; name="file"; filename="a"'
    body = f"--b\r\n{disposition}\r\n{header}\r\nx\r\n--b--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=b"}
    response = await client.post("/predict", content=body.encode(), headers=headers)
    assert response.status_code == 400
    assert is_problem(response)


async def test_a_form_in_a_form_is_no_image(client: httpx.AsyncClient) -> None:
    inner = as_upload(JPEG)
    files = {"file": ("a.jpg", inner.read(), inner.headers["content-type"])}
    assert (await client.post("/predict", files=files)).status_code == 415


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b.jpg",
        'a"b.jpg',
        "..\\..\\x",
        "../../etc/passwd",
        "日本.jpg",
        "\ud83d\ude00",
        "a" * 3000,
        "\x7f",
    ],
)
async def test_a_file_may_have_any_name(client: httpx.AsyncClient, name: str) -> None:
    name = name.encode("utf-16", "surrogatepass").decode("utf-16")
    response = await client.post("/predict/batch", files=[("files", (name or " ", JPEG))])
    assert response.status_code == 200
    assert "prediction" in response.json()[0]


@settings(max_examples=2 * settings().max_examples)
@given(data=st.data())
async def test_a_damaged_image_gets_an_answer_of_the_table(
    client: httpx.AsyncClient, data: st.DataObject
) -> None:
    image = bytearray(SMALL[data.draw(st.sampled_from(FORMATS))])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, max(len(image) - 1, 0)))
        end = data.draw(st.integers(start, len(image)))
        image[start:end] = data.draw(st.binary(max_size=32))
    response = await client.send(data.draw(st.sampled_from(WAYS))(bytes(image)))
    assert response.status_code in STATUSES
    assert response.status_code == 200 or is_problem(response)


@settings(max_examples=4 * settings().max_examples)
@given(
    path=st.sampled_from(["/predict", "/predict/batch", "/predictions/genre"]),
    body=FORMS,
    content_type=FORM_TYPES,
)
async def test_a_random_form_gets_an_answer_of_the_table(
    client: httpx.AsyncClient, path: str, body: bytes, content_type: str
) -> None:
    response = await client.post(path, content=body, headers={"content-type": content_type})
    assert response.status_code in STATUSES
    assert response.status_code == 200 or is_problem(response)


@given(
    size=st.integers(LIMIT - 3, LIMIT + 3) | st.integers(0, 3 * LIMIT),
    cuts=st.lists(st.integers(0, 3 * LIMIT), max_size=20),
)
async def test_the_limit_holds_however_the_body_is_cut(
    client: httpx.AsyncClient, size: int, cuts: list[int]
) -> None:
    marks = sorted({0, size, *(cut for cut in cuts if cut < size)})

    async def chunks() -> AsyncIterator[bytes]:
        for start, end in pairwise(marks):
            yield bytes(end - start)

    response = await client.post("/predictions/reviews", content=chunks())
    assert response.status_code == (200 if size <= LIMIT else 413)


@given(cuts=st.lists(st.integers(0, 2000), max_size=30))
async def test_a_form_is_the_same_however_it_is_cut(client: httpx.AsyncClient, cuts: list[int]) -> None:
    request = as_upload(b"\r\n--" + JPEG)
    body = request.read()
    marks = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})

    async def chunks() -> AsyncIterator[bytes]:
        for start, end in pairwise(marks):
            yield body[start:end]

    headers = {"content-type": request.headers["content-type"]}
    response = await client.post("/predict", content=chunks(), headers=headers)
    assert response.status_code == 415
    assert f"the {len(JPEG) + 4} bytes" in response.json()["detail"]

"""Through the real gateway, the real TorchServe and the real handler: everybody gets their own answer."""

import asyncio
import base64
import gzip
import json
import re
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given

from tests.http_client import HTTP
from tests.random_forms import FORM_TYPES, FORMS
from tests.running_stack import RunningStack
from torchserve_gateway.load_test.clients import same_answer
from torchserve_gateway.load_test.images import client_images

TOLERANCE = 1e-4
Answer = dict[str, float]


@pytest.fixture(scope="module")
def gateway(stack: RunningStack) -> str:
    return stack.settings.gateway.url


def ways_to_write(image: bytes) -> list[tuple[bytes, str | None]]:
    """Bodies that TorchServe alone reads otherwise, or not at all, with their types."""
    lines = base64.encodebytes(image).decode()
    as_json = json.dumps({"data": f"data:image/jpeg;base64,{base64.urlsafe_b64encode(image).decode()}"})
    head = b'--b\r\nContent-Disposition: form-data; name="data"'
    form = b"\r\n\r\n" + image + b"\r\n--b--\r\nepilogue"
    return [
        (as_json.encode(), None),
        (as_json.encode(), "Application/JSON"),
        (b"\xef\xbb\xbf" + as_json.encode(), "application/json"),
        (lines.encode(), None),
        (lines.encode(), "Text/Plain"),
        (urlencode({"data": lines, "k": 5}).encode(), "application/x-www-form-urlencoded"),
        (head + form, "MULTIPART/FORM-DATA; boundary=b; charset=nonesuch"),
        (b"preamble\r\n" + head + b'; filename="a"' + form, "multipart/form-data; boundary=b"),
        (head + b"; filename*=a" + form, "multipart/form-data; boundary=b"),
        (head + b"\r\n\r\n" + lines.encode() + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"),
    ]


def genre_of(image: Path) -> str:
    return image.stem.removesuffix("-2").replace("-", " ").title()


def test_every_sample_poster_is_classified_as_its_name_says(gateway: str, images: list[Path]) -> None:
    for image in images:
        response = HTTP.post(f"{gateway}/predict", files={"file": (image.name, image.read_bytes())})
        answer = response.raise_for_status().json()
        assert next(iter(answer)) == genre_of(image)
        assert response.headers["x-model-name"] == "genre"
        assert response.headers["x-model-version"]
        assert response.headers["server-timing"].startswith("gateway;dur=")


def test_all_ways_to_send_an_image_give_the_same_answer(gateway: str, images: list[Path]) -> None:
    image = images[0].read_bytes()
    url = f"{gateway}/predictions/genre"
    responses = [
        HTTP.put(url, content=image),  # curl -T
        HTTP.post(url, content=image),
        HTTP.post(url, content=image, headers={"content-type": "application/x-www-form-urlencoded"}),
        HTTP.post(url, content=image, headers={"content-type": "image/jpeg"}),
        HTTP.post(url, files={"data": ("a.jpg", image)}),  # curl -F data=@
        HTTP.post(url, json={"data": base64.b64encode(image).decode()}),
        HTTP.post(f"{gateway}/predict", files={"file": ("a.jpg", image)}),
    ]
    responses += [
        HTTP.post(url, content=content, headers={"content-type": type_} if type_ else {})
        for content, type_ in ways_to_write(image)
    ]
    responses.append(
        HTTP.post(url, content=gzip.compress(image, 1), headers={"content-encoding": "gzip"}),
    )
    version = responses[0].headers["x-model-version"]
    responses.append(HTTP.post(f"{url}/{version}", content=image))
    first = responses[0].raise_for_status().json()
    for response in responses:
        assert same_answer(response.raise_for_status().json(), first, TOLERANCE)


def test_a_batch_gets_what_its_images_get_alone(gateway: str, images: list[Path]) -> None:
    broken = {"text.jpg": (b"not an image", 415), "half.jpg": (images[0].read_bytes()[:3000], 422)}
    sent = {image.name: image.read_bytes() for image in images} | {
        name: content for name, (content, _) in broken.items()
    }
    names = sorted(sent)
    files = [("files", (name, sent[name])) for name in names]
    response = HTTP.post(f"{gateway}/predict/batch", files=files, timeout=60)
    assert response.status_code == 200
    assert response.headers["x-model-version"]
    answers = response.json()
    assert [answer["filename"] for answer in answers] == names
    for answer in answers:
        if answer["filename"] in broken:
            assert answer["error"]["status"] == broken[answer["filename"]][1]
        else:
            alone = HTTP.put(f"{gateway}/predictions/genre", content=sent[answer["filename"]]).json()
            assert same_answer(answer["prediction"], alone, TOLERANCE)


@pytest.mark.parametrize("path", ["/predict/batch", "/predictions/genre", "/explanations/genre"])
@given(body=FORMS, content_type=FORM_TYPES)
def test_a_random_form_is_answered_or_refused(
    gateway: str, path: str, body: bytes, content_type: str
) -> None:
    """Also what the gateway can read and TorchServe cannot."""
    response = HTTP.post(f"{gateway}{path}", content=body, headers={"content-type": content_type}, timeout=60)
    assert response.status_code in (200, 400, 413, 415, 422), response.text


def test_a_success_is_torchserves_answer_unchanged(stack: RunningStack, images: list[Path]) -> None:
    direct, through = (
        HTTP.put(f"{base}/predictions/genre", content=images[0].read_bytes())
        for base in (stack.settings.torchserve.inference_url, stack.settings.gateway.url)
    )
    assert through.status_code == direct.status_code == 200
    assert through.content == direct.content
    assert through.headers["content-type"] == direct.headers["content-type"]


async def test_64_concurrent_clients_get_exactly_their_own_answers(gateway: str, images: list[Path]) -> None:
    """Every fourth client sends something broken, and only those are refused, each by its own status."""
    sent = client_images(images[0].parent, 64)
    broken = {0: (b"not an image", 415), 1: (sent[4][:2000], 422), 2: (b"\xff\xd8\xff\xe0" + b"x" * 99, 422)}
    wanted: dict[int, Answer | int] = {}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=gateway, timeout=60, limits=limits) as client:
        for index, image in enumerate(sent):
            if index % 4 == 1:
                sent[index], wanted[index] = broken[index // 4 % 3]
            else:
                wanted[index] = (
                    (await client.post("/predictions/genre", content=image)).raise_for_status().json()
                )
        responses = await asyncio.gather(
            *(client.post("/predictions/genre", content=image) for image in sent)
        )
    for index, response in enumerate(responses):
        expected = wanted[index]
        if isinstance(expected, int):
            assert response.status_code == expected, response.text
            assert response.json()["code"] == expected
        else:
            assert response.status_code == 200, response.text
            assert same_answer(response.json(), expected, TOLERANCE)
    # The check above sees a swap only if the answers differ.
    answers = [each for each in wanted.values() if isinstance(each, dict)]
    assert not any(same_answer(one, two, TOLERANCE) for i, one in enumerate(answers) for two in answers[:i])


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/predictions/nonesuch", 404, "Model not found: nonesuch"),
        ("/predictions/genre/9.9", 404, "9.9"),
        ("/predictions/..%2Fmodels", 404, ""),
    ],
)
def test_an_unknown_model_or_version_is_404(
    gateway: str, images: list[Path], path: str, status: int, said: str
) -> None:
    response = HTTP.post(f"{gateway}{path}", content=images[0].read_bytes())
    assert response.status_code == status
    assert said in response.json()["detail"]


def test_a_body_over_the_limit_is_413(stack: RunningStack) -> None:
    limit = stack.settings.gateway.max_request_bytes
    response = HTTP.post(f"{stack.settings.gateway.url}/predictions/genre", content=b"x" * (limit + 1))
    assert response.status_code == 413
    assert str(limit) in response.json()["detail"]


def test_health_and_metrics(stack: RunningStack) -> None:
    gateway = stack.settings.gateway.url
    assert HTTP.get(f"{gateway}/health/ready").json() == {"status": "ready"}
    assert HTTP.get(f"{gateway}/ping").json() == {"status": "Healthy"}
    metrics = HTTP.get(f"{stack.settings.torchserve.metrics_url}/metrics").text
    for name in ("PreprocessTime", "InferenceTime", "PostprocessTime", "BatchSize"):
        assert f'{name}{{ModelName="genre"' in metrics


def test_torchserves_log_has_the_life_of_workers_and_no_line_of_a_request(
    stack: RunningStack, images: list[Path]
) -> None:
    logs = stack.directory / "var" / "log"
    before = {file: file.stat().st_size for file in logs.glob("*.log")}
    for _ in range(3):
        url = f"{stack.settings.gateway.url}/predictions/genre"
        HTTP.post(url, content=images[0].read_bytes()).raise_for_status()
    assert before[logs / "ts_log.log"] > 0
    for name in ("ts_log", "model_log", "torchserve"):
        file = logs / f"{name}.log"
        added = file.read_bytes()[before[file] :].decode()
        assert not re.findall(r"job|[Bb]ackend|METRICS|Waiting|predictions", added), added
    assert (logs / "access_log.log").read_text().count("POST /predictions/genre") >= 3
    states = [line for line in (logs / "ts_log.log").read_text().splitlines() if "State change" in line]
    assert states
    assert len(states) == len(set(states))


def test_torchserve_listens_to_this_machine_only(stack: RunningStack) -> None:
    """Every listening socket of the java process is a loopback one."""
    url = stack.settings.torchserve.management_url
    port = int(url.rsplit(":", 1)[1])
    listening = [
        line.split()[1]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == port
    ]
    assert listening
    loopback = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
    assert all(address.split(":")[0] in loopback for address in listening)

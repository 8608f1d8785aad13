"""Several models behind one gateway: each with its own limits, checks, readiness and rights."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe, described, error, version
from tests.faults.test_overload import until
from tests.keys import bearer, with_keys, write_keys
from tests.several_models import gateway_of, several

PNG = SMALL["PNG"]
FORM = {"file": ("a.png", PNG)}
MODELS = ("genre", "animals", "boxes", "echo")


def model_of(request: httpx.Request) -> str:
    return request.url.path.split("/")[2] if request.url.path.count("/") > 1 else ""


def named(request: httpx.Request) -> httpx.Response:
    """Answers with the name of the model."""
    return httpx.Response(200, json={model_of(request): 1.0})


def missing(request: httpx.Request) -> httpx.Response:
    return error(404, "ModelNotFoundException", f"Model not found: {model_of(request)}")


@pytest.mark.parametrize("model", MODELS)
async def test_a_model_is_chosen_by_query_or_path(model: str) -> None:
    async with gateway_of(FakeTorchServe(named), several()) as client:
        by_query = await client.post("/predict", params={"model": model}, files=FORM)
        by_path = await client.post(f"/predictions/{model}", content=PNG)
        batch = await client.post("/predict/batch", params={"model": model}, files=[("files", FORM["file"])])
    assert by_query.json() == by_path.json() == batch.json()[0]["prediction"] == {model: 1.0}
    assert by_query.headers["x-model-name"] == batch.headers["x-model-name"] == model


async def test_without_a_choice_the_first_model_answers() -> None:
    async with gateway_of(FakeTorchServe(named), several()) as client:
        assert (await client.post("/predict", files=FORM)).json() == {"genre": 1.0}


@pytest.mark.parametrize("query", ["model=", "model=a/b", "model=..", "model=%2e%2e", "model=a&model=b%20c"])
async def test_a_name_that_no_model_can_have_is_404_and_never_asked_for(query: str) -> None:
    torchserve = FakeTorchServe(named)
    async with gateway_of(torchserve, several()) as client:
        for path in (f"/predict?{query}", f"/predict/batch?{query}"):
            assert (await client.post(path, files=FORM)).status_code == 404
    assert torchserve.requests == []


async def test_an_unknown_model_is_404_that_says_which_there_are() -> None:
    async with gateway_of(FakeTorchServe(missing), several()) as client:
        unknown = (await client.post("/predict?model=pets", files=FORM)).json()
        known = (await client.post("/predict?model=echo", files=FORM)).json()
        [in_batch] = (await client.post("/predict/batch?model=pets", files={"files": FORM["file"]})).json()
    said = "nothing is deployed; configured: genre, animals, boxes, echo; make upload_model MODEL="
    assert (unknown["status"], unknown["detail"]) == (404, f"Model not found: pets; {said}pets deploys it")
    assert known["detail"] == f"Model not found: echo; {said}echo deploys it"
    assert in_batch["error"]["detail"] == unknown["detail"]


async def test_each_model_has_its_own_limit_of_bytes() -> None:
    settings = several(
        "gateway.max_request_bytes=1000", echo={"limits": {"max_request_bytes": 10}},
        boxes={"limits": {"max_request_bytes": 100_000}},
    )  # fmt: skip
    async with gateway_of(FakeTorchServe(named), settings) as client:
        answers = {
            (model, size): (await client.post(f"/predictions/{model}", content=bytes(size))).status_code
            for model in ("echo", "unknown", "boxes")
            for size in (10, 11, 1000, 1001)
        }
        batch = await client.post("/predict/batch?model=echo", files=[("files", b"x" * 11), ("files", b"x")])
        instances = await client.post("/v1/models/echo:predict", json={"instances": [[1], "x" * 20]})
    assert [answers["echo", size] for size in (10, 11)] == [200, 413]
    assert [answers["unknown", size] for size in (1000, 1001)] == [200, 413]
    # As an image it is refused for another reason.
    assert answers["boxes", 1001] == 415
    assert [item.get("error", {}).get("status") for item in batch.json()] == [413, None]
    assert instances.status_code == 413


async def test_each_model_has_its_own_limit_of_pixels() -> None:
    big = SMALL["JPEG"]
    settings = several(animals={"image": {"resize": [8, 8], "mean": [0.5], "std": [0.5], "max_pixels": 10}})
    async with gateway_of(FakeTorchServe(named), settings) as client:
        statuses = [
            (await client.post(f"/predict?model={model}", files={"file": big})).status_code
            for model in ("genre", "animals", "boxes", "echo")
        ]
        [item] = (await client.post("/predict/batch?model=animals", files={"files": big})).json()
    assert statuses == [200, 413, 200, 200]
    assert item["error"]["status"] == 413


async def test_each_model_has_its_own_deadline() -> None:
    settings = several(echo={"limits": {"deadline_s": 0.05}})
    async with gateway_of(FakeTorchServe(hangs=True), settings) as client:
        response = await client.post("/predictions/echo", content=b"x")
    assert response.status_code == 504
    assert "did not answer within 0.0" in response.json()["detail"]


async def test_a_full_model_refuses_and_the_others_answer() -> None:
    go = asyncio.Event()

    async def held(request: httpx.Request) -> httpx.Response:
        if model_of(request) == "echo":
            await go.wait()
        return named(request)

    torchserve = FakeTorchServe(held)
    settings = several("gateway.admission.max_waiting=0", echo={"limits": {"max_in_flight": 1}})
    async with gateway_of(torchserve, settings) as client:
        first = asyncio.create_task(client.post("/predictions/echo", content=b"x"))
        await until(lambda: len(torchserve.requests) == 1)
        second = await client.post("/predictions/echo", content=b"x")
        others = [
            await client.post(f"/predictions/{model}", content=PNG) for model in ("genre", "boxes", "new")
        ]
        page = (await client.get("/metrics")).text
        go.set()
        assert (await first).status_code == 200
    assert second.status_code == 503
    assert "retry-after" in second.headers
    assert [response.status_code for response in others] == [200, 200, 200]
    assert 'gateway_admission_limit{model="echo"} 1.0' in page


READY = {"genre": True, "animals": True, "boxes": False}


def readiness(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/ping":
        return httpx.Response(200, json={"status": "Healthy"})
    model = model_of(request)
    if model not in READY:
        return error(404, "ModelNotFoundException", f"Model not found: {model}")
    return described(version("1.0", ready=int(READY[model]), workers=1) | {"modelName": model})


@pytest.mark.parametrize(
    ("names", "status", "said"),
    [
        ("null", 200, "ready"),
        ("[genre,animals]", 200, "ready"),
        ("[genre,boxes]", 503, "boxes 1.0 has no worker"),
        ("[genre,echo]", 503, "echo cannot be served: Model not found: echo"),
    ],
)
async def test_the_gateway_is_ready_with_the_models_that_it_must_have(
    names: str, status: int, said: str
) -> None:
    settings = several(f"gateway.ready_models={names}")
    async with gateway_of(FakeTorchServe(readiness), settings) as client:
        for path in ("/health/ready", "/v2/health/ready"):
            response = await client.get(path)
            assert response.status_code == status
        assert said in (await client.get("/health/ready")).text
        of_each = [(await client.get(f"/v2/models/{model}/ready")).status_code for model in MODELS]
    assert of_each == [200, 200, 503, 404]


PREDICTING = (
    ("POST", "/predictions/{model}"),
    ("PUT", "/predictions/{model}/1.0"),
    ("POST", "/explanations/{model}"),
    ("POST", "/predict?model={model}"),
    ("POST", "/predict?x=1&model={model}"),
    ("POST", "/predict/batch?model={model}"),
    ("GET", "/v1/models/{model}"),
    ("POST", "/v1/models/{model}:predict"),
    ("GET", "/v2/models/{model}"),
    ("GET", "/v2/models/{model}/versions/1.0/ready"),
    ("POST", "/v2/models/{model}/infer"),
)


async def test_a_key_may_be_for_one_model_alone(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys", one=("predict:echo", "models"), all=("predict",), none=("metrics",))
    async with gateway_of(FakeTorchServe(readiness), several(*with_keys(tmp_path / "keys"))) as client:
        for method, path in PREDICTING:

            async def is_refused(model: str, caller: str, method: str = method, path: str = path) -> bool:
                url, headers = path.format(model=model), bearer(keys[caller])
                return (await client.request(method, url, headers=headers)).status_code in (401, 403)

            assert not await is_refused("echo", "one"), path
            for other in ("genre", "ech", "echo2", "ECHO", "unknown"):
                assert await is_refused(other, "one"), path
            assert not await is_refused("genre", "all"), path
            assert await is_refused("echo", "none"), path


@pytest.mark.parametrize("path", ["/predict", "/predict?model=genre", "/predict/batch"])
async def test_a_refusal_names_the_right_of_the_default_model(tmp_path: Path, path: str) -> None:
    keys = write_keys(tmp_path / "keys", one=("predict:echo",), genre=("predict:genre",))
    async with gateway_of(FakeTorchServe(named), several(*with_keys(tmp_path / "keys"))) as client:
        refused = await client.post(path, files=FORM, headers=bearer(keys["one"]))
        taken = await client.post(path, files={"file": FORM["file"]}, headers=bearer(keys["genre"]))
    assert refused.status_code == 403
    assert "lacks the right 'predict', or 'predict:genre' for this model" in refused.json()["detail"]
    assert taken.status_code != 403


async def test_the_list_of_models_has_those_that_the_key_may_use(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys", one=("predict:animals",), all=("predict",), none=("models",))
    async with gateway_of(FakeTorchServe(readiness), several(*with_keys(tmp_path / "keys"))) as client:
        lists = [
            await client.get("/v1/models", headers=bearer(keys[name])) for name in ("one", "all", "none")
        ]
    assert [response.status_code for response in lists] == [200, 200, 403]
    assert [response.json()["models"] for response in lists[:2]] == [
        ["animals"],
        ["animals", "boxes", "genre"],
    ]


async def test_openapi_shows_how_a_model_is_chosen() -> None:
    async with gateway_of(FakeTorchServe(), several()) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    for path in ("/predict", "/predict/batch"):
        [parameter] = paths[path]["post"]["parameters"]
        assert (parameter["name"], parameter["in"], parameter["required"]) == ("model", "query", False)
    # Some of these models take any body.
    assert paths["/predict"]["post"]["requestBody"]["content"].keys() == {"multipart/form-data", "*/*"}

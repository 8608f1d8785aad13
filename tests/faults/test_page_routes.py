"""The page's files: strict headers, nothing outside their folder, nothing where the page is off."""

import re
from pathlib import Path

import pytest

from tests.fake_torchserve import FakeTorchServe
from tests.keys import bearer, with_keys, write_keys
from tests.served_gateway import gateway, shared_gateway
from tests.several_models import gateway_of, several
from torchserve_gateway.gateway import page

FILES = sorted((Path(page.__file__).parent / "static").iterdir())
TYPES = {".html": "text/html", ".css": "text/css", ".js": "javascript", ".svg": "image/svg+xml"}
EVERY = {"": FILES[0].with_name("index.html"), **{f"page/{file.name}": file for file in FILES}}


@pytest.mark.parametrize("path", EVERY)
async def test_every_file_has_its_type_and_the_strict_headers(path: str) -> None:
    async with shared_gateway(FakeTorchServe()) as client:
        answer = await client.get(f"/{path}")
        again = await client.get(f"/{path}", headers={"If-None-Match": answer.headers["etag"]})
    assert answer.status_code == 200
    assert answer.content == EVERY[path].read_bytes()
    assert TYPES[EVERY[path].suffix] in answer.headers["content-type"]
    assert again.status_code == 304
    for each in (answer, again):
        policy = each.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; ")
        for rule in ("object-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"):
            assert rule in policy
        assert "unsafe" not in policy
        assert each.headers["x-content-type-options"] == "nosniff"
        assert each.headers["referrer-policy"] == "no-referrer"
        assert each.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_has_inline_code_or_an_address_elsewhere(file: Path) -> None:
    text = file.read_text().replace("http://www.w3.org/", "")
    assert not re.search(r"https?://\w|innerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    if file.suffix == ".html":
        assert not re.search(r"\son\w+=|style=|<style|<script(?! type=\"module\" src=)", text)


@pytest.mark.parametrize("name", ["..%2Froutes.py", "%2e%2e%2froutes.py", "....//routes.py", "nothing.js"])
async def test_nothing_outside_the_folder_is_served(name: str) -> None:
    async with shared_gateway(FakeTorchServe()) as client:
        answer = await client.get(f"/page/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_page_learns_what_it_needs_and_no_more() -> None:
    async with gateway(FakeTorchServe()) as client:
        about = (await client.get("/page/about")).json()
    assert set(about) == {"model", "keys", "max_request_bytes", "version"}
    assert about["model"] == "genre"
    assert about["keys"] is False


async def test_sample_pictures_are_those_of_the_golden_check(images: list[Path]) -> None:
    async with gateway(FakeTorchServe()) as client:
        names = (await client.get("/page/samples")).json()
        answer = await client.get(f"/page/samples/{names[0]}")
        missing = await client.get("/page/samples/api_keys.json")
    assert names == ["horror.jpg", "western.jpg", "romance.png"]
    assert len(answer.content) == next(each for each in images if each.name == names[0]).stat().st_size
    assert answer.headers["content-type"] == "image/jpeg"
    assert missing.status_code == 404


async def test_each_model_has_its_own_sample_pictures(tmp_path: Path, images: list[Path]) -> None:
    boxes = {"samples": [{"image": str(images[0])}, {"input": __file__}]}
    keys = write_keys(tmp_path / "keys.json", boxes=("predict:boxes",))
    settings = several(*with_keys(tmp_path / "keys.json"), boxes=boxes)
    async with gateway_of(FakeTorchServe(), settings) as client:
        client.headers.update(bearer(keys["boxes"]))
        assert (await client.get("/page/samples?model=boxes")).json() == [images[0].name]
        answer = await client.get(f"/page/samples/{images[0].name}?model=boxes")
        assert answer.content == images[0].read_bytes()
        # Neither may the key see those of another model.
        for model in ("?model=genre", ""):
            assert (await client.get(f"/page/samples{model}")).status_code == 403
            assert (await client.get(f"/page/samples/horror.jpg{model}")).status_code == 403
    async with gateway_of(FakeTorchServe(), several(boxes=boxes)) as client:
        for model in ("echo", "unknown"):
            assert (await client.get(f"/page/samples?model={model}")).json() == []
            assert (await client.get(f"/page/samples/horror.jpg?model={model}")).status_code == 404


async def test_with_keys_on_the_page_is_open_and_the_samples_are_not(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.json", predict=("predict",))
    async with gateway(FakeTorchServe(), *with_keys(tmp_path / "keys.json")) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/page/about")).json()["keys"] is True
        assert (await client.get("/page/samples")).status_code == 401
        assert (await client.get("/page/samples", headers=bearer(keys["predict"]))).status_code == 200


async def test_a_page_that_is_off_leaves_swagger_ui() -> None:
    async with gateway(FakeTorchServe(), "gateway.page.enabled=false") as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
        assert (await client.get("/page/main.js")).status_code == 404
        assert (await client.get("/page/about")).status_code == 404
        assert (await client.get("/page/samples")).json() == []

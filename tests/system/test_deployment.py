"""A swap on the real TorchServe: nobody notices one that works, and one that fails changes nothing."""

import io
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from tests.archives import with_files, with_manifest
from tests.http_client import HTTP
from tests.processes import until
from tests.running_stack import RunningStack, run
from tests.shown_blocks import quoted_text


def store(stack: RunningStack) -> dict[str, bytes]:
    files = (stack.directory / "model_store").iterdir()
    return {file.name: file.read_bytes() for file in files if not file.name.startswith(".")}


def answers(stack: RunningStack, version: str) -> bool:
    counted = rf'gateway_requests_total\{{.*version="{re.escape(version)}"\}} [1-9]'
    return re.search(counted, HTTP.get(f"{stack.settings.gateway.url}/metrics").text) is not None


@pytest.mark.parametrize(
    ("load", "workers"),
    # Requests that come whether or not others are answered; and as many as the cores answer.
    [("rate=5", "1"), ("clients=32", "null")],
)
def test_a_swap_under_load_fails_no_request(stack: RunningStack, load: str, workers: str) -> None:
    version = stack.fresh_version()
    stack.add_archive(version)
    running = stack.load("rounds=1000", "round_s=3", load)
    before = stack.versions()
    deployed = stack.upload_model(version, f"model.workers={workers}")
    assert deployed.returncode == 0, deployed.stderr
    until(lambda: answers(stack, version))
    running.stop()
    code, output = running.result()
    assert code == 0, output
    assert stack.versions() == [version]
    [answered] = [line for line in output.splitlines() if "Answered" in line]
    assert all(f"{each}: " in answered for each in [*before, version])
    assert "Mean performance: " in output
    assert "Latency: p50 " in output
    steps = (
        "found genre",
        f"registering genre {version}",
        "READY",
        "default: ",
        f"retired genre {before[0]}",
    )
    for told in steps:
        assert told in deployed.stderr


def test_deploying_what_serves_changes_nothing(stack: RunningStack) -> None:
    version = stack.deploy_fresh()
    before = store(stack)
    result = stack.upload_model(version)
    assert result.returncode == 0, result.stderr
    assert "serves already" in result.stderr
    assert store(stack) == before


def test_a_version_that_nobody_named_replaces_none_and_the_demo_uses_what_serves(stack: RunningStack) -> None:
    version = stack.deploy_fresh()
    refused = run("upload_model.py", *stack.overrides)
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert f"genre {version} serves, and 1.0 is only the version in the model's file" in line
    kept = run("upload_model.py", *stack.overrides, "if_another_serves=keep")
    assert (kept.returncode, kept.stdout) == (0, f"genre {version} serves\n")
    demo = run("-m", "torchserve_gateway", "demo", *stack.overrides)
    assert demo.returncode == 0, demo.stderr
    assert stack.versions() == [version]


def test_a_model_whose_workers_load_is_503_at_once_and_not_504_at_the_deadline(
    stack: RunningStack, images: list[Path]
) -> None:
    archive = stack.add_archive("1.0", model="stuck", handler="stuck")
    stored = archive.rename(stack.directory / "model_store" / archive.name)
    management = f"{stack.settings.torchserve.management_url}/models"
    parameters: dict[str, str | int] = {"url": archive.name, "initial_workers": 1, "synchronous": "false"}
    assert HTTP.post(management, params=parameters, timeout=60).status_code == 202
    try:
        for _ in range(2):
            url = f"{stack.settings.gateway.url}/predictions/stuck"
            response = HTTP.put(url, content=images[0].read_bytes(), timeout=60)
            assert response.status_code == 503, response.text
            assert "stuck is loading: none of its workers is READY yet" in response.json()["detail"]
            assert response.headers["retry-after"]
    finally:
        HTTP.delete(f"{management}/stuck/1.0").raise_for_status()
        stored.unlink()


def test_a_model_that_is_not_there_is_told_with_what_is_deployed(stack: RunningStack) -> None:
    [version] = stack.versions()
    response = HTTP.put(f"{stack.settings.gateway.url}/predictions/pets", content=b"x")
    assert response.status_code == 404
    detail = response.json()["detail"]
    assert f"genre {version}" in detail
    assert "make upload_model MODEL=pets deploys it" in detail


def test_new_parameters_need_a_new_version(stack: RunningStack) -> None:
    version = stack.deploy_fresh()
    result = stack.upload_model(version, "model.batch_size=4")
    assert result.returncode == 1
    assert "serves already, but batch_size is 8, not 4" in result.stderr
    stack.deploy_fresh("model.batch_size=4")
    described = HTTP.get(f"{stack.settings.torchserve.management_url}/models/genre").json()
    assert described[0]["batchSize"] == 4


def rewritten(name: str, content: bytes) -> Callable[[Path], object]:
    """Replaces one file in an archive."""
    return lambda archive: archive.write_bytes(with_files(archive.read_bytes(), {name: content}))


def of_another_version(archive: Path) -> None:
    archive.write_bytes(with_manifest(archive.read_bytes(), modelVersion="7.7"))


def test_two_deploys_at_once_are_one_and_a_clear_refusal(stack: RunningStack) -> None:
    both = [stack.fresh_version() for _ in range(2)]
    for version in both:
        stack.add_archive(version)
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(stack.upload_model, both))
    assert sorted(result.returncode for result in results) == [0, 1]
    [refused] = [result.stderr for result in results if result.returncode == 1]
    said = quoted_text("docs/deploying.md", "another deploy is running; wait until it has ended")
    assert refused == f"failed: {said}\n"
    [deployed] = stack.versions()
    assert deployed in both


def three_classes() -> bytes:
    """A checkpoint that is fine in itself."""
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 3))
    content = io.BytesIO()
    torch.jit.save(torch.jit.script(network), content)
    return content.getvalue()


LOADING = quoted_text("docs/deploying.md", "its workers die while they load the model")
LABELS_BACKWARDS = json.dumps({str(9 - i): label for i, label in enumerate("ABCDEFGHIJ")}).encode()


@pytest.mark.parametrize(
    ("damage", "extra", "said"),
    [
        (None, ["model.samples.0.expected_class=Comedy"], "not Comedy"),
        (rewritten("index_to_name.json", LABELS_BACKWARDS), [], "other classes than configured"),
        (
            rewritten("handler.py", b"import nonesuch"),
            [],
            f"{LOADING}; the handler's last error: ModuleNotFoundError: No module named 'nonesuch' (",
        ),
        (rewritten("genre.pt", b"rubbish"), [], "PytorchStreamReader failed"),
        (
            rewritten("genre.pt", three_classes()),
            [],
            "the handler's last error: ValueError: the model's output has shape (8, 3)",
        ),
        (of_another_version, [], "of version 7.7"),
        (lambda archive: archive.write_bytes(archive.read_bytes()[:9999]), [], "bad-1.mar"),
        (lambda archive: archive.write_bytes(b"no zip"), [], "is no model archive"),
        (lambda archive: archive.unlink(), [], "does not exist"),
        (None, ["request_params.url=http://127.0.0.1:1/x.mar"], "does not match any allowed URL"),
        (None, ["torchserve.management_url=http://127.0.0.1:1"], "management API"),
        (None, ["model.samples.0.image=nonesuch.jpg"], "nonesuch.jpg"),
    ],
)
def test_a_deploy_that_fails_changes_nothing(
    stack: RunningStack, damage: Callable[[Path], object] | None, extra: list[str], said: str
) -> None:
    added = stack.add_archive("bad", model="bad")
    archive = added.rename(added.with_name("bad-1.mar"))
    if damage:
        damage(archive)
    before = stack.versions(), store(stack)
    result = stack.upload_model("bad", "request_params.url=bad-1.mar", *extra)
    assert result.returncode == 1
    failed = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 1
    assert said in failed[0]
    assert (stack.versions(), store(stack)) == before
    assert HTTP.get(f"{stack.settings.gateway.url}/health/ready").status_code == 200

"""A swap on the real TorchServe: nobody notices one that works, and one that fails changes nothing."""

import io
import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import torch

from tests.running_stack import RunningStack


def versions(stack: RunningStack) -> list[str]:
    described = httpx.get(f"{stack.settings.torchserve.management_url}/models/genre/all").json()
    return sorted(each["modelVersion"] for each in described)


def store(stack: RunningStack) -> dict[str, bytes]:
    files = (stack.directory / "model_store").iterdir()
    return {file.name: file.read_bytes() for file in files if not file.name.startswith(".")}


@pytest.mark.parametrize(
    ("version", "load"),
    # Requests that come whether or not others are answered; and as many as two cores answer.
    [("2.0", ["rate=20"]), ("2.0.1", ["clients=64"])],
)
def test_a_swap_under_load_fails_no_request(stack: RunningStack, version: str, load: list[str]) -> None:
    stack.generate_mar(version)
    running = stack.load("rounds=30", "round_s=3", *load)
    before = versions(stack)
    deployed = stack.upload_model(version)
    running.stop()
    code, output = running.result()
    assert deployed.returncode == 0, deployed.stderr
    assert code == 0, output
    assert versions(stack) == [version]
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
    [version] = versions(stack)
    before = store(stack)
    result = stack.upload_model(version)
    assert result.returncode == 0, result.stderr
    assert "serves already" in result.stderr
    assert store(stack) == before


def test_new_parameters_need_a_new_version(stack: RunningStack) -> None:
    [version] = versions(stack)
    result = stack.upload_model(version, "model.batch_size=4")
    assert result.returncode == 1
    assert "serves already, but batch_size is 8, not 4" in result.stderr
    stack.deploy("2.1", "model.batch_size=4")
    described = httpx.get(f"{stack.settings.torchserve.management_url}/models/genre").json()
    assert described[0]["batchSize"] == 4


def rewritten(name: str, content: bytes) -> Callable[[Path], None]:
    """Replaces one file in an archive."""

    def rewrite(archive: Path) -> None:
        with zipfile.ZipFile(archive) as source:
            files = {entry: source.read(entry) for entry in source.namelist()} | {name: content}
        with zipfile.ZipFile(archive, "w") as target:
            for entry, data in files.items():
                target.writestr(entry, data)

    return rewrite


def manifest_of_another_version(archive: Path) -> None:
    with zipfile.ZipFile(archive) as source:
        manifest = json.loads(source.read("MAR-INF/MANIFEST.json"))
    manifest["model"]["modelVersion"] = "7.7"
    rewritten("MAR-INF/MANIFEST.json", json.dumps(manifest).encode())(archive)


def test_two_deploys_at_once_are_one_and_a_clear_refusal(stack: RunningStack) -> None:
    stack.generate_mar("2.2")
    stack.generate_mar("2.3")
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(stack.upload_model, ["2.2", "2.3"]))
    assert sorted(result.returncode for result in results) == [0, 1]
    [refused] = [result.stderr for result in results if result.returncode == 1]
    assert refused == "failed: another deploy is running; wait until it has ended\n"
    [deployed] = versions(stack)
    assert deployed in ("2.2", "2.3")


def three_classes() -> bytes:
    """A checkpoint that is fine in itself."""
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 3))
    content = io.BytesIO()
    torch.jit.save(torch.jit.script(network), content)
    return content.getvalue()


LABELS_BACKWARDS = json.dumps({str(9 - i): label for i, label in enumerate("ABCDEFGHIJ")}).encode()


@pytest.mark.parametrize(
    ("damage", "extra", "said"),
    [
        (None, ["model.samples.0.expected_class=Comedy"], "not Comedy"),
        (rewritten("index_to_name.json", LABELS_BACKWARDS), [], "other classes than configured"),
        (rewritten("handler.py", b"import nonesuch"), [], "die while they load"),
        (rewritten("genre.pt", b"rubbish"), [], "die while they load"),
        (rewritten("genre.pt", three_classes()), [], "die while they load"),
        (manifest_of_another_version, [], "of version 7.7"),
        (lambda archive: archive.write_bytes(archive.read_bytes()[:9999]), [], "bad-1.mar"),
        (lambda archive: archive.write_bytes(b"no zip"), [], "is no model archive"),
        (lambda archive: archive.unlink(), [], "does not exist"),
        (None, ["request_params.url=http://127.0.0.1:1/x.mar"], "does not match any allowed URL"),
        (None, ["torchserve.management_url=http://127.0.0.1:1"], "management API"),
        (None, ["model.samples.0.image=nonesuch.jpg"], "nonesuch.jpg"),
    ],
)
def test_a_deploy_that_fails_changes_nothing(
    stack: RunningStack, damage: Callable[[Path], None] | None, extra: list[str], said: str
) -> None:
    archive = stack.directory / "model_mars" / "bad-1.mar"
    built = stack.generate_mar("bad", "model.name=bad", "force=true")
    assert built.returncode == 0, built.stderr
    (stack.directory / "model_mars" / "bad-bad.mar").rename(archive)
    if damage:
        damage(archive)
    before = versions(stack), store(stack)
    result = stack.upload_model("bad", "request_params.url=bad-1.mar", *extra)
    assert result.returncode == 1
    failed = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 1
    assert said in failed[0]
    assert (versions(stack), store(stack)) == before
    assert httpx.get(f"{stack.settings.gateway.url}/health/ready").status_code == 200

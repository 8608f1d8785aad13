"""make adopt: the record says what a TorchServe runs that others started, and nothing changes there."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import Result

from tests.commands import command
from tests.fake_torchserve import FakeTorchServe, described, error, listening, version
from tests.unit.test_deployment_record import VERSION
from tests.unit.test_foreign_archives import archive
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord, Trial

Versions = dict[str, list[dict[str, Any]]]


@dataclass
class Theirs:
    """A TorchServe of others."""

    models: Versions = field(default_factory=lambda: {"genre": [version("1.0", 2, 2)]})
    """Descriptions by model, the default version first."""
    model_api: bool = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/ping":
            return httpx.Response(200, json={"status": "Healthy"})
        if request.method == "POST":
            if not self.model_api:
                return error(405, "MethodNotAllowedException", "Requested method is not allowed")
            return error(400, "BadRequestException", "Parameter url is required.")
        if path == "/models":
            return httpx.Response(
                200, json={"models": [{"modelName": n, "modelUrl": ""} for n in self.models]}
            )
        name, _, which = path.removeprefix("/models/").partition("/")
        versions = self.models[name]
        if not versions:
            return error(404, "ModelNotFoundException", f"Model not found: {name}")
        return described(*(versions if which == "all" else versions[:1]))


@dataclass
class Place:
    """A working folder, and replicas to adopt."""

    directory: Path
    torchserves: list[FakeTorchServe]
    urls: list[str]

    def adopt(self, *overrides: str) -> Result:
        return command(
            "adopt",
            f"torchserve.management_url={self.urls[0]}",
            f"torchserve.inference_url={self.urls[0]}",
            f"torchserve.management_urls=[{','.join(self.urls)}]",
            f"torchserve.model_store={self.directory}",
            f"torchserve.deployments_dir={self.directory}/deployments",
            f"torchserve.key_file={self.directory}/key_file.json",
            *overrides,
        )

    @property
    def record(self) -> DeploymentRecord:
        return DeploymentRecord(self.directory / "deployments")

    def entry(self, name: str = "genre") -> DeployedModel | None:
        return self.record.read().models.get(name)


@pytest.fixture
def theirs() -> Theirs:
    return Theirs()


@pytest.fixture
def place(theirs: Theirs, tmp_path: Path) -> Iterator[Place]:
    torchserve = FakeTorchServe(theirs)
    with listening(torchserve) as url:
        yield Place(tmp_path, [torchserve], [url])


def adopted(place: Place, *overrides: str) -> str:
    result = place.adopt(*overrides)
    assert result.exit_code == 0, result.stdout + result.stderr
    return result.stdout


def refused(place: Place, *overrides: str) -> str:
    result = place.adopt(*overrides)
    assert result.exit_code == 1, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_a_running_model_is_on_record_with_its_real_parameters(place: Place) -> None:
    (place.directory / "genre-1.0.mar").write_bytes(b"theirs")
    assert adopted(place) == "genre 1.0: on record now, 2 workers, batches of 8 in 20 ms\n"
    entry = place.entry()
    assert entry
    assert (entry.replicas, entry.serving.version, entry.serving.initial_workers) == (1, "1.0", 2)
    assert (entry.serving.batch_size, entry.serving.response_timeout) == (8, 30)
    assert entry.serving.archive == "genre-1.0.mar"
    assert len(entry.serving.sha256) == 64
    assert entry.serving.adopted


@pytest.mark.parametrize(("handler", "images"), [("object_detector", True), ("theirs.py", False)])
def test_the_record_says_whether_the_archive_takes_images(place: Place, handler: str, images: bool) -> None:
    archive(place.directory / "genre-1.0.mar", handler=handler)
    adopted(place)
    entry = place.entry()
    assert entry
    assert entry.serving.takes_images is images


def test_nothing_is_changed_at_torchserve(place: Place) -> None:
    adopted(place)
    sent = [each for each in place.torchserves[0].requests if each.method != "GET"]
    # The question whether deploys would work: a registration without an archive.
    assert [(each.method, each.url.path, each.content) for each in sent] == [("POST", "/models", b"{}")]


def test_adopting_again_changes_nothing(place: Place) -> None:
    adopted(place)
    before = place.record.read()
    assert "on record already" in adopted(place)
    assert place.record.read() == before


def test_a_difference_is_said_and_overwritten_only_when_asked_for(place: Place, theirs: Theirs) -> None:
    adopted(place)
    theirs.models["genre"] = [version("1.0", 3, 3)]
    before = place.record.read()
    said = refused(place)
    assert "genre: initial_workers is 3, the record says 2; overwrite=true takes over" in said
    assert place.record.read() == before
    assert "overwritten on record: initial_workers is 3" in adopted(place, "overwrite=true")
    entry = place.entry()
    assert entry
    assert (entry.serving.initial_workers, entry.previous) == (3, ())


def test_another_default_version_takes_the_place_of_the_serving_version(place: Place, theirs: Theirs) -> None:
    adopted(place)
    theirs.models["genre"] = [version("2.0", 1, 1), version("1.0", 2, 2)]
    assert "TorchServe's default version is 2.0, the record's 1.0" in refused(place)
    said = adopted(place, "overwrite=true")
    assert "1.0 beside it answer when a path names them, until the next deploy" in said
    entry = place.entry()
    assert entry
    assert (entry.serving.version, [each.version for each in entry.previous]) == ("2.0", ["1.0"])


def test_a_deploy_that_did_not_end_is_left_alone(place: Place) -> None:
    adopted(place)
    entry = place.entry()
    assert entry
    trial = entry.model_copy(update={"trial": Trial(kind="canary", version="2.0", share=0.1)})
    place.record.write("genre", trial)
    assert "a deploy of it did not end" in refused(place, "overwrite=true")
    assert place.entry() == trial


def test_models_that_cannot_be_adopted_are_named_and_the_others_are(place: Place, theirs: Theirs) -> None:
    theirs.models |= {"idle": [version("1.0", 0, 0)], "../x": []}
    said = refused(place)
    assert "idle 1.0: not adopted, it has no workers" in said
    assert 'make manage ARGS="scale idle --min-worker 1"' in said
    assert "../x: TorchServe lists it and cannot describe it" in said
    assert list(place.record.read().models) == ["genre"]


def test_what_an_owner_should_know_is_a_line(place: Place, theirs: Theirs) -> None:
    theirs.model_api = False
    theirs.models["genre"] = [version("1.0", 1, 2)]
    said = adopted(place, "gateway.deadline_s=29", "model.response_timeout=120")
    assert "1 of its 2 workers are READY" in said
    assert "genre-1.0.mar is out of reach, it is not in" in said
    assert "its model API is off" in said


def test_a_model_on_record_that_torchserve_lacks_stays(place: Place, theirs: Theirs) -> None:
    adopted(place)
    before = place.record.read()
    theirs.models = {}
    said = adopted(place)
    assert "no model is registered there" in said
    assert "genre 1.0: on record, but not registered there; it stays" in said
    assert place.record.read() == before


def test_replicas_count_and_their_differences_are_said(tmp_path: Path) -> None:
    one, two = Theirs(), Theirs({"genre": [version("1.0", 1, 1)], "odd": [version("2.0", 1, 1)]})
    one.models["odd"] = [version("1.0", 1, 1)]
    fakes = [FakeTorchServe(one), FakeTorchServe(two)]
    with listening(fakes[0]) as first, listening(fakes[1]) as second:
        # One address with two ports counts as two TorchServes.
        place = Place(tmp_path, fakes, [first, second])
        said = refused(place)
    assert "genre 1.0: the numbers of workers differ by TorchServe; the smallest counts" in said
    assert "odd: not adopted, its default version differs: 1.0 on" in said
    entry = place.entry()
    assert entry
    assert (entry.replicas, entry.serving.initial_workers) == (2, 1)


def test_a_missing_token_names_the_setting(place: Place, theirs: Theirs) -> None:
    place.torchserves[0].answer = error(400, "InvalidKeyException", "Token Authorization failed.")
    said = refused(place)
    assert "set torchserve.key_file to key_file.json in the folder where TorchServe was started" in said


def test_an_unreachable_torchserve_is_one_line(place: Place) -> None:
    place.urls = ["http://127.0.0.1:9"]
    [line] = refused(place).splitlines()
    assert line.startswith("failed: TorchServe's management API at http://127.0.0.1:9")


def test_models_that_must_not_run_twice_are_marked(place: Place) -> None:
    adopted(place, "idempotent=false")
    entry = place.entry()
    assert entry
    assert entry.serving.idempotent is False


def test_a_record_of_an_older_release_is_read(tmp_path: Path) -> None:
    old = VERSION.model_dump(mode="json", exclude={"idempotent", "adopted", "takes_images"})
    content = {"revision": 1, "models": {"genre": {"serving": old}}}
    (tmp_path / "deployed.json").write_text(json.dumps(content))
    serving = DeploymentRecord(tmp_path).read().models["genre"].serving
    assert serving.idempotent
    assert not serving.adopted

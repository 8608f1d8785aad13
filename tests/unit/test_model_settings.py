"""A model's settings: every key has a default, files are read, and parts that do not fit are named."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from torchserve_gateway.settings.composition import (
    CONFIG_DIR,
    PROJECT_ROOT,
    ConfigurationError,
    as_override,
    load,
)
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.settings.project import ProjectSettings

DEFAULTS = yaml.safe_load((CONFIG_DIR / "model_defaults.yaml").read_text())
GENRE = yaml.safe_load((CONFIG_DIR / "model" / "genre.yaml").read_text())
OWN = "model.handler=mine.py"


def model(**keys: object) -> ModelSettings:
    """A model whose handler brings all it needs."""
    content: dict[str, Any] = {"name": "pets", "version": "1.0", "handler": "mine.py", **keys}
    return ModelSettings.model_validate(content)


def problem(*overrides: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load("gateway", ProjectSettings, overrides)
    return str(caught.value)


def test_the_file_of_defaults_names_every_key_with_the_default_of_the_settings() -> None:
    by_code = ModelSettings.model_validate(
        {"name": "a", "version": "1", "handler": "image_classifier", "weights": {"path": "w"}}
    )
    by_file = ModelSettings.model_validate(
        {**DEFAULTS, "name": "a", "version": "1", "handler": "image_classifier", "weights": {"path": "w"}}
    )
    assert by_file == by_code
    assert DEFAULTS.keys() | {"name", "version"} == ModelSettings.model_fields.keys()


def test_the_page_lists_every_key_with_its_default() -> None:
    page = (PROJECT_ROOT / "docs" / "own-model.md").read_text()
    table = page.split("\n## Keys\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE)
    assert {key for key, _ in rows} == ModelSettings.model_fields.keys()
    defaults = {key: yaml.safe_load(cell.strip("`")) for key, cell in rows if cell.startswith("`")}
    wrong = {key: value for key, value in defaults.items() if value != DEFAULTS[key] and key != "limits"}
    assert wrong == {}


def test_a_model_file_with_name_and_handler_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config" / "model").mkdir(parents=True)
    (tmp_path / "config" / "model" / "pets.yaml").write_text('name: pets\nversion: "1"\nhandler: mine.py\n')
    found = load("gateway", ProjectSettings, ["model=pets", "model.batch_size=4"]).model
    assert (found.batch_size, found.labels, found.weights, found.image, found.samples) == (
        4,
        [],
        None,
        None,
        [],
    )
    assert found.handler == tmp_path / "mine.py"


def test_the_modules_of_our_handler_are_found_by_themselves() -> None:
    packed = load("gateway", ProjectSettings).model.packed_modules
    assert {
        "ts_serialize/__init__.py",
        "ts_serialize/image_input.py",
        "ts_serialize/webp_header.py",
    } <= packed.keys()
    assert "ts_serialize/archive.py" not in packed
    assert all(file.is_file() for file in packed.values())


def test_the_modules_of_ours_that_another_handler_imports_are_packed_beside_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("import torch, cats\nfrom ts_serialize import base64_text\n")
    (tmp_path / "cats.py").write_text("import ts_serialize.jpeg_markers")
    packed = model(handler_modules=["cats.py"]).packed_modules
    assert packed == {
        "cats.py": tmp_path / "cats.py",
        **{
            f"ts_serialize/{name}.py": PROJECT_ROOT / "ts_serialize" / f"{name}.py"
            for name in ("__init__", "base64_text", "jpeg_markers")
        },
    }


@pytest.mark.parametrize(
    ("name", "content", "labels"),
    [
        ("labels.txt", "cat\nno\n0\n", ["cat", "no", "0"]),
        ("labels.txt", "\ufeffcat\r\n dog \r\n\r\n", ["cat", "dog"]),
        ("index_to_name.json", '{"1": "dog", "0": "cat"}', ["cat", "dog"]),
        (
            "index_to_name.json",
            '{"0": ["n01", "crane"], "1": ["n02", "crane"]}',
            ["crane (n01)", "crane (n02)"],
        ),
        ("index_to_name.json", '{"0": ["n01", "tench"], "1": ["n02", "shark"]}', ["tench", "shark"]),
        ("names.json", '{"object_type_names": ["background", "face"]}', ["background", "face"]),
        ("names.json", '["cat", "dog"]', ["cat", "dog"]),
    ],
)
def test_labels_are_read_from_a_file(tmp_path: Path, name: str, content: str, labels: list[str]) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert model(labels=str(tmp_path / name)).labels == labels


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("labels.txt", "cat\n\ndog", "line 2 is empty"),
        ("labels.txt", "", "names no class"),
        ("names.json", "{}", "names no class"),
        ("names.json", "{", "is no JSON"),
        ("names.json", "3", "is no map of class numbers to names"),
        ("names.json", '{"1": "cat", "2": "dog"}', 'has 2 entries, and none with the key "0"'),
        ("names.json", '{"cat": 0}', 'none with the key "0"'),
        ("names.json", '{"0": 1}', '"0" is 1; a name, or ["n02123045", "tabby"]'),
    ],
)
def test_a_file_of_labels_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    text = problem(as_override("model.labels", tmp_path / name))
    assert f"{tmp_path}/{name}" in text
    assert said in text


def test_a_missing_file_of_labels_is_named() -> None:
    assert "/nonesuch.txt cannot be read (No such file or directory)" in problem("model.labels=/nonesuch.txt")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("yes", "entry 1 is true: YAML reads yes, on or true so unless it is quoted; quote the class name"),
        ("no", 'for example "no"'),
        ("off", "entry 1 is false"),
        ("0", 'entry 1 is the number 0; a class name is text, quote it: "0"'),
        ("1.5", "entry 1 is the number 1.5"),
        ("~", "entry 1 is null: YAML reads null, ~ or nothing so"),
        ("", "entry 1 is null"),
        ("a: b", "quote it if it has a colon"),
        ("' '", "entry 1 is empty"),
    ],
)
def test_an_entry_that_yaml_reads_as_something_else_is_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config" / "model").mkdir(parents=True)
    labels = f"labels:\n  - maybe\n  - {entry}\n"
    (tmp_path / "config" / "model" / "pets.yaml").write_text(f'name: pets\nversion: "1"\n{labels}')
    assert said in problem("model=pets", OWN)


def test_a_thousand_labels_do_not_fill_the_terminal() -> None:
    labels = ",".join(f"class{index}" for index in range(1000))
    text = problem(f"model.labels=[{labels},true]")
    assert "entry 1000 is true" in text
    assert len(text) < 600


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.labels=null"], "and labels is not set; set all, or another handler"),
        (["model.image=null", "model.weights=null"], "and image and weights are not set"),
        (["model.handler=image_clasifier"], "nor one of TorchServe's own handlers image_classifier, obj"),
        (["model.handler=image_classifier", "model.weights=null"], "weights is null; set weights.path"),
        ([OWN, "model.engine=openvino"], "mine.py loads the network itself; set engine torchscript"),
        ([OWN, "model.outputs=logits"], "precision fp32, cuda_graphs false and outputs null"),
        ([OWN, "model.cuda_graphs=true"], "mine.py loads the network itself; set engine torchscript"),
        (
            ["model.engine=openvino", "model.cuda_graphs=true"],
            "engine openvino computes on the CPU, without CUDA graphs; set cuda_graphs false",
        ),
        (["model.model_file=net.py", "model.precision=bf16"], "model_file = net.py makes an eager network"),
        (["model.image.mean=[0.5,0.5]"], "both have 3 numbers, for red, green and blue, or 1"),
        (["model.image.mean=[0.5]"], "both have 3 numbers"),
        (
            ["model.image.mean=[0.5]", "model.image.std=[0.5]", "model.image.gpu_decoding=true"],
            "gpu_decoding = true prepares RGB images, and mean = [0.5] is for a network that takes grey",
        ),
        (["model.samples=[{}]"], "give the request's body: image: FILE, or input: FILE"),
        (["model.samples=[{image: a, input: b}]"], "image and input are both set (a, b); keep one"),
        (
            ["model.samples=[{input: a, expected: 1, expected_class: b}]"],
            "the right answer of a is given by expected_class or probability and by expected; keep one",
        ),
        (
            ["model.samples=[{input: a, expected_class: false}]"],
            "expected_class is false: YAML reads no",
        ),
        (["model.samples=[{input: a, expcted: 1}]"], "model.samples.0.expcted = 1"),
    ],
)
def test_parts_that_do_not_fit_are_named_with_the_cure(overrides: list[str], said: str) -> None:
    assert said in problem(*overrides)


def test_classes_of_another_handler_may_have_one_name(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text(json.dumps({"0": "N/A", "1": "N/A"}))
    assert model(labels=str(tmp_path / "coco.json")).labels == ["N/A", "N/A"]


@pytest.mark.parametrize(
    ("sample", "media_type"),
    [
        ({"image": "a.jpg"}, "application/octet-stream"),
        ({"input": "a.json"}, "application/json"),
        ({"input": "a.TXT"}, "text/plain"),
        ({"input": "a.bin"}, "application/octet-stream"),
        ({"input": "a.json", "content_type": "application/x-mine"}, "application/x-mine"),
    ],
)
def test_a_sample_has_a_content_type(sample: dict[str, str], media_type: str) -> None:
    assert model(samples=[sample]).samples[0].media_type == media_type


def test_the_answer_of_a_sample_may_be_any_json() -> None:
    answer = [{"box": [1, 2.5], "class": "face", "none": None}, True, "text"]
    assert model(samples=[{"input": "a", "expected": answer}]).samples[0].expected == answer


def test_commands_that_need_weights_or_image_settings_say_so() -> None:
    for use in (lambda: model().checkpoint, lambda: model().preprocessing):
        with pytest.raises(ConfigurationError, match=r"model\.(weights|image) of pets is null"):
            use()
    assert GENRE.keys() <= DEFAULTS.keys() | {"name", "version"}

"""ResNet-56 of examples/resnet56: the paper's network, its weights, and its handler as a plain class."""

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from examples.random_weights import MARK, BuildError, write_random
from examples.resnet56.block import Block
from examples.resnet56.handler import Cifar10Handler
from examples.resnet56.network import ResNet56
from tests.handler_context import answers, context
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.project import ProjectSettings

EXAMPLE = PROJECT_ROOT / "examples/resnet56"


def model(*overrides: str) -> ProjectSettings:
    return load("gateway", ProjectSettings, ["model=resnet56", *overrides])


def test_it_has_the_papers_parameters_and_layers() -> None:
    network = ResNet56()
    # Table 6 of the paper: 0.85 M.
    assert sum(each.numel() for each in network.parameters()) == 853_018
    assert sum(isinstance(each, nn.Conv2d | nn.Linear) for each in network.modules()) == 56


def test_the_middle_of_each_stage_is_as_large_as_in_the_paper() -> None:
    network, images = ResNet56().eval(), torch.rand(2, 3, 32, 32)
    shapes = []
    for layer in (network.layer1, network.layer2, network.layer3):
        layer.register_forward_hook(lambda *args: shapes.append(tuple(args[-1].shape)))
    assert network(images).shape == (2, 10)
    assert shapes == [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]


def test_shortcuts_pass_on_what_the_convolutions_do_not_change() -> None:
    block = Block(16, 32, stride=2).eval()
    nn.init.zeros_(block.bn2.weight)
    images = torch.rand(1, 16, 8, 8)
    passed = block(images)
    assert torch.equal(passed[:, 8:24], images[:, :, ::2, ::2])
    assert not passed[:, :8].any()
    assert not passed[:, 24:].any()


def test_weights_of_several_gpus_in_a_checkpoint_are_loaded() -> None:
    trained, images = ResNet56().eval(), torch.rand(1, 3, 32, 32)
    wrapped = {f"module.{name}": value for name, value in trained.state_dict().items()}
    network = ResNet56().eval()
    network.load_state_dict({"epoch": 200, "state_dict": wrapped})
    assert torch.equal(network(images), trained(images))


def test_random_weights_are_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, names = model(f"model.weights.path={tmp_path}/w.pt"), tmp_path / "names.json"
    write_random(settings, ResNet56, ["cat", "dog"], names)
    assert json.loads(names.read_text()) == {"0": "random weights: cat", "1": "random weights: dog"}
    assert "random" in capsys.readouterr().out
    assert ResNet56().load_state_dict(torch.load(tmp_path / "w.pt", weights_only=True))
    assert settings.model.name == "resnet56-random"
    assert all(label.startswith(MARK) for label in settings.model.labels)


def test_configured_weights_are_not_overwritten(tmp_path: Path) -> None:
    url = "model.weights.url=https://example.com/w.pt"
    settings = model(f"model.weights.path={tmp_path}/w.pt", url, f"model.weights.sha256={64 * '0'}")
    with pytest.raises(BuildError, match=r"https://example.com/w.pt: make download_weights"):
        write_random(settings, ResNet56, [], tmp_path / "names.json")
    assert not list(tmp_path.iterdir())


def test_the_handler_names_the_probabilities_of_any_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = model(f"model.weights.path={tmp_path}/model.pt").model
    write_random(model(f"model.weights.path={tmp_path}/model.pt"), ResNet56, [], tmp_path / "names.json")
    shutil.copyfile(EXAMPLE / "network.py", tmp_path / "resnet56_network.py")
    (tmp_path / "preprocessing.json").write_text(json.dumps(settings.preprocessing.model_dump()))
    (tmp_path / "index_to_name.json").write_text(json.dumps(dict(enumerate(settings.labels))))
    monkeypatch.syspath_prepend(tmp_path)
    handler, file = Cifar10Handler(), io.BytesIO()
    handler.initialize(context(tmp_path, 0, modelFile="resnet56_network.py"))
    Image.new("L", (100, 60), "white").save(file, "PNG")
    good, bad = answers(handler, tmp_path, [{"body": file.getvalue()}, {"body": b"?"}])
    assert bad[0] == 415
    assert good[0] == 200
    assert good[1].keys() == set(settings.labels)
    assert list(good[1].values()) == sorted(good[1].values(), reverse=True)
    assert sum(good[1].values()) == pytest.approx(1, abs=1e-5)

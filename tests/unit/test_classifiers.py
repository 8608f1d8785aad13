"""Our handler serves every classifier: grey, eager, traced, with a softmax, with torchvision's operators."""

import json
import logging
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

from tests.archive_worker import Worker, loaded
from tests.composed_settings import load_once
from tests.shown_blocks import quoted_text
from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.settings.composition import PROJECT_ROOT, as_override
from ts_serialize.archive import ArchiveError, build_archive

SIZE = 28
GREY = ("model.image.mean=[0.5]", "model.image.std=[0.5]")
EAGER = """
import torch
from torch import nn
from blocks import Pooled


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.pooled = Pooled()
        self.classes = nn.Linear(3, 3)

    def forward(self, images):
        return self.classes(self.pooled(images))
"""
BLOCKS = """
from torch import nn


class Pooled(nn.Module):
    def forward(self, images):
        return images.mean((2, 3))
"""


class Mean(nn.Module):
    """Three logits per image; for RGB the means of the channels."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.channels = channels
        self.classes = nn.Linear(channels, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classes(images.mean((2, 3)))  # type: ignore[no-any-return]


class AfterSoftmax(Mean):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.classes(images.mean((2, 3))), dim=1)


class WithBoxes(Mean):
    """Uses an operator of torchvision that only its library registers."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 8.0]])
        kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5)
        return self.classes(images.mean((2, 3))) * kept.shape[0]  # type: ignore[no-any-return]


def scripted(network: nn.Module) -> torch.jit.ScriptModule:
    return torch.jit.script(network.eval())


def traced(network: Mean) -> torch.jit.ScriptModule:
    example = torch.zeros(2, network.channels, SIZE, SIZE)
    return torch.jit.trace(network.eval(), example)  # type: ignore[no-any-return, no-untyped-call]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A colour gradient."""
    image = Image.merge("RGB", [Image.linear_gradient("L").rotate(90 * turns) for turns in range(3)])
    image.save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def settings(folder: Path, *overrides: str) -> ArchiveSettings:
    weights = as_override("model.weights.path", folder / "net.pt")
    size = f"model.image.resize=[{SIZE},{SIZE}]"
    shape = ["model.labels=[A,B,C]", size, "model.samples=[]", "model.calibration_images=null"]
    return load_once("archive", ArchiveSettings, [f"model_mars={folder}/mars", weights, *shape, *overrides])


def built(folder: Path, network: torch.jit.ScriptModule, *overrides: str) -> Path:
    torch.jit.save(network, folder / "net.pt")
    return build_archive(settings(folder, *overrides))


def answer(worker: Worker, picture: Path) -> list[float]:
    """Probabilities by label."""
    first, second = worker.answers([picture, picture])
    assert first == second
    return [first[label] for label in "ABC"]


def wanted(network: nn.Module, picture: Path, mode: str = "RGB") -> list[float]:
    """Outputs of the network for the picture as our handler prepares it."""
    steps = torchvision.transforms.Compose(
        [torchvision.transforms.Resize((SIZE, SIZE)), torchvision.transforms.ToTensor()]
    )
    with Image.open(picture) as image:
        pixels = steps(image.convert(mode))
    mean, std = ([0.5], [0.5]) if mode == "L" else ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.inference_mode():
        outputs = network(torchvision.transforms.functional.normalize(pixels, mean, std)[None])
    return [float(value) for value in outputs[0]]


def softmax(logits: list[float]) -> list[float]:
    return [float(value) for value in torch.softmax(torch.tensor(logits), dim=0)]


@pytest.mark.parametrize("export", [scripted, traced])
def test_a_grey_network_gets_grey_images(
    tmp_path: Path,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
    export: Callable[[nn.Module], torch.jit.ScriptModule],
) -> None:
    network = Mean(channels=1)
    worker = loaded(built(tmp_path, export(network), *GREY), tmp_path / "unpacked", monkeypatch)
    assert answer(worker, picture) == pytest.approx(softmax(wanted(network, picture, "L")), abs=1e-5)
    [explained] = worker.answers([picture], explain=True)
    assert len(explained["attributions"]) == 7


def test_a_network_of_another_number_of_channels_is_refused_with_the_shape(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=rf"does not run on an input of shape \(1, 3, {SIZE}, {SIZE}\)"):
        built(tmp_path, scripted(Mean(channels=1)))


@pytest.mark.parametrize("outputs", [None, "probabilities"])
def test_softmax_is_applied_once(
    tmp_path: Path,
    picture: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    outputs: str | None,
) -> None:
    network = AfterSoftmax()
    with caplog.at_level(logging.INFO):
        archive = built(tmp_path, scripted(network), f"model.outputs={outputs or 'null'}")
    assert ("ends in a softmax; the handler applies no other" in caplog.text) == (outputs is None)
    worker = loaded(archive, tmp_path / "unpacked", monkeypatch)
    assert answer(worker, picture) == pytest.approx(wanted(network, picture), abs=1e-5)


def test_logits_that_look_like_probabilities_can_be_declared(
    tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = AfterSoftmax()
    archive = built(tmp_path, scripted(network), "model.outputs=logits")
    worker = loaded(archive, tmp_path / "unpacked", monkeypatch)
    assert answer(worker, picture) == pytest.approx(softmax(wanted(network, picture)), abs=1e-5)


def test_logits_that_are_declared_probabilities_are_refused(tmp_path: Path) -> None:
    said = quoted_text("docs/own-model.md", "answers no probabilities")
    with pytest.raises(ArchiveError, match=rf"{said}: values from .*; set model\.outputs to"):
        built(tmp_path, scripted(Mean()), "model.outputs=probabilities")


def test_a_file_with_operators_of_torchvision_is_served(
    tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = WithBoxes()
    worker = loaded(built(tmp_path, scripted(network)), tmp_path / "unpacked", monkeypatch)
    assert answer(worker, picture) == pytest.approx(softmax(wanted(network, picture)), abs=1e-5)


@pytest.mark.slow
def test_a_file_with_operators_of_torchvision_is_checked_where_nothing_else_imports_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "net.pt"
    torch.jit.save(scripted(WithBoxes()), file)
    code = (
        f"from ts_serialize.torchscript import loaded; from pathlib import Path; loaded(Path({str(file)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=PROJECT_ROOT, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


STARTED = """
from pathlib import Path
from tests.handler_context import context
from ts_serialize.batch_handler import BatchHandler
BatchHandler().initialize(context(Path.cwd(), 0, serializedFile="net.pt"))
"""


@pytest.mark.slow
def test_a_worker_loads_a_file_with_operators_of_torchvision_which_nothing_else_imports(
    tmp_path: Path,
) -> None:
    torch.jit.save(scripted(WithBoxes()), tmp_path / "net.pt")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}
    command = (sys.executable, "-c", STARTED)
    done = subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def eager(folder: Path, state: object, *overrides: str, source: str = EAGER) -> Path:
    torch.save(state, folder / "net.pt")
    (folder / "net.py").write_text(source)
    (folder / "beside").mkdir()
    (folder / "beside" / "blocks.py").write_text(BLOCKS)
    parts = [f"model.model_file={folder}/net.py", f"model.extra_files=[{folder}/beside]"]
    return build_archive(settings(folder, *parts, *overrides))


def test_a_state_dict_with_its_class_is_served(
    tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Mean()
    archive = eager(tmp_path, network.state_dict())
    with zipfile.ZipFile(archive) as content:
        assert {"net.py", "net.pt", "blocks.py"} <= set(content.namelist())
        assert "engine.json" not in content.namelist()
    assert "blocks" not in sys.modules
    worker = loaded(archive, tmp_path / "unpacked", monkeypatch)
    assert answer(worker, picture) == pytest.approx(softmax(wanted(network, picture)), abs=1e-5)


@pytest.mark.parametrize(
    ("state", "source", "said"),
    [
        (
            {"other": torch.zeros(1)},
            EAGER,
            quoted_text("docs/own-model.md", "is no state dict of Net in ")
            + ".*net.py: .*Missing key.*classes.weight",
        ),
        (Mean().state_dict(), "import nonesuch\nclass Net: ...", "ModuleNotFoundError: No module named"),
        (Mean().state_dict(), "class Net: ...", "has a model_file with Net: .*a torch.nn.Module"),
        (Mean().state_dict(), f"{EAGER}\n\n\nclass Other: ...\n", "has the classes Net, Other"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_refused(
    tmp_path: Path, state: object, source: str, said: str
) -> None:
    with pytest.raises(ArchiveError, match=said):
        eager(tmp_path, state, source=source)


def test_torchscript_needs_no_model_file(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("class Net: ...")
    with pytest.raises(
        ArchiveError, match="is TorchScript, which has its network inside: leave out model_file"
    ):
        built(tmp_path, scripted(Mean()), f"model.model_file={tmp_path}/net.py")


def test_an_archive_says_only_of_a_softmax_that_there_is_one(tmp_path: Path) -> None:
    """So that archives of logits stay byte-identical."""
    with zipfile.ZipFile(built(tmp_path, scripted(Mean()))) as content:
        assert "outputs" not in json.loads(content.read("preprocessing.json"))

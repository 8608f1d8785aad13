"""A checkpoint that cannot serve is refused when it is packed; one line says what it is and what helps."""

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.composed_settings import load_once
from tests.shown_blocks import quoted_text
from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.weights import WeightsError, fetch_weights
from ts_serialize.archive import ArchiveError, check_checkpoint

OWN_MODEL = "docs/own-model.md"
SIZE = 32
EXAMPLE = torch.zeros(2, 3, SIZE, SIZE)


class Classifier(nn.Module):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3, stride=2)
        self.classes = nn.Linear(8, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classes(torch.relu(self.features(images)).mean((2, 3)))  # type: ignore[no-any-return]


class Around(nn.Module):
    """A classifier with something else around it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Classifier()


class WithDropout(Around):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.inner(images), 0.5, self.training)


class WithBatchNorm(Around):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(self.norm(images))  # type: ignore[no-any-return]


class Pair(Around):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.inner(images)
        return logits, logits


class Named(Around):
    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": self.inner(images)}


class Top(Around):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images).argsort(1)  # type: ignore[no-any-return]


class NotANumber(Around):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images) * float("nan")  # type: ignore[no-any-return]


class OnCuda(Around):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images) + torch.zeros(1, device="cuda")  # type: ignore[no-any-return]


class OfOneImage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Linear(3 * SIZE * SIZE, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classes(images.view(1, -1))  # type: ignore[no-any-return]


class OfTheSizeThatWasTraced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Linear(3 * SIZE * SIZE, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classes(images.reshape(images.shape[0], -1))  # type: ignore[no-any-return]


def scripted(network: nn.Module) -> torch.jit.ScriptModule:
    return torch.jit.script(network)


def traced(network: nn.Module, example: torch.Tensor = EXAMPLE) -> torch.jit.ScriptModule:
    return torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-any-return, no-untyped-call]


def settings(checkpoint: Path, *overrides: str) -> ArchiveSettings:
    model = [
        f"model.weights.path={checkpoint}",
        "model.labels=[A,B,C]",
        f"model.image.resize=[{SIZE},{SIZE}]",
    ]
    return load_once("archive", ArchiveSettings, [*model, *overrides])


def checked(directory: Path, network: torch.jit.ScriptModule, *overrides: str) -> None:
    torch.manual_seed(0)
    torch.jit.save(network, directory / "net.pt")
    check_checkpoint(settings(directory / "net.pt", *overrides).model)


def refused(checkpoint: Path, *overrides: str) -> str:
    with pytest.raises(ArchiveError) as caught:
        check_checkpoint(settings(checkpoint, *overrides).model)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert said.startswith(str(checkpoint))
    return said


@pytest.mark.parametrize(
    "network",
    [
        lambda: scripted(Classifier()),
        lambda: scripted(WithBatchNorm().eval()),
        # The handler puts it into evaluation mode, which scripted networks follow.
        lambda: scripted(WithDropout().train()),
        lambda: traced(WithDropout().eval()),
        lambda: traced(WithBatchNorm().eval()),
        lambda: traced(OfTheSizeThatWasTraced()),
    ],
)
def test_a_network_that_serves_every_batch_is_packed(
    tmp_path: Path, network: Callable[[], torch.jit.ScriptModule]
) -> None:
    checked(tmp_path, network())


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (
            lambda: traced(WithDropout().train()),
            quoted_text(OWN_MODEL, "answers the same image differently each time"),
        ),
        (
            lambda: traced(WithBatchNorm().train()),
            quoted_text(OWN_MODEL, "answers an image differently with 7 others in its batch"),
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean:torch.jit.TracerWarning")
def test_a_network_traced_in_training_mode_is_refused_with_what_to_do(
    tmp_path: Path, network: Callable[[], torch.jit.ScriptModule], said: str
) -> None:
    with pytest.raises(ArchiveError) as caught:
        checked(tmp_path, network())
    assert said in str(caught.value)
    assert "saved in training mode: call model.eval() before torch.jit.trace" in str(caught.value)


def test_a_network_traced_with_a_fixed_batch_serves_only_that(tmp_path: Path) -> None:
    network = traced(OfOneImage(), EXAMPLE[:1])
    said = quoted_text(OWN_MODEL, "runs on 1 image but not on 8 at once")
    with pytest.raises(ArchiveError, match=rf"{said}.*set model\.batch_size=1"):
        checked(tmp_path, network)
    checked(tmp_path, network, "model.batch_size=1")


def test_a_network_traced_with_a_fixed_batch_of_several_is_refused(tmp_path: Path) -> None:
    class OfEight(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.view(8, 3, -1).mean(2)

    with pytest.raises(ArchiveError, match=r"answers \(8, 3\) to one image"):
        checked(tmp_path, traced(OfEight(), torch.zeros(8, 3, SIZE, SIZE)))


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Pair, "answers a tuple of 2 (wrap the network to return model(x)[0]), not one tensor of logits"),
        (Pair, quoted_text(OWN_MODEL, "answers a tuple of 2 ")),
        (Named, "answers a dict with out (wrap the network to return model(x)['out'])"),
        (Top, "answers torch.int64; the handler wants logits"),
        (NotANumber, "answers NaN or infinity"),
        (OnCuda, quoted_text(OWN_MODEL, "its code names the device cuda")),
        (lambda: Classifier(4), "answers (1, 4) to one image, the 3 labels of the model want (1, 3)"),
        (lambda: Classifier().half(), quoted_text(OWN_MODEL, "its weights are torch.float16")),
        (lambda: Classifier().half(), "torch.float16, the handler's input is torch.float32"),
        (lambda: Classifier().bfloat16(), "its weights are torch.bfloat16"),
        (lambda: Classifier().double(), "its weights are torch.float64"),
    ],
)
def test_a_network_whose_answer_is_not_the_handlers_is_refused(
    tmp_path: Path, network: Callable[[], nn.Module], said: str
) -> None:
    with pytest.raises(ArchiveError) as caught:
        checked(tmp_path, scripted(network()))
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def saved(content: object, *, as_zip: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=as_zip)
    return buffer.getvalue()


def exported() -> bytes:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(Classifier(), (EXAMPLE,)), buffer)
    return buffer.getvalue()


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"x" * 100)
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("net.pt"))
    return buffer.getvalue()


STATE = Classifier().state_dict()
# 15 bytes of JSON behind their length.
SAFETENSORS = (15).to_bytes(8, "little") + b'{"weight": {}} '
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12345\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (saved(STATE), "it is a state dict (4 tensors)"),
        (saved(STATE), "model.load_state_dict(torch.load("),
        (saved(STATE, as_zip=False), "it is a state dict (4 tensors)"),
        (saved({"epoch": 3, "model_state_dict": STATE}), "a checkpoint dictionary (epoch, model_state_dict)"),
        (saved({"epoch": 3, "model_state_dict": STATE}), "weights_only=True)['model_state_dict'])"),
        (saved({"model": STATE, "path": Path("x")}), "a checkpoint dictionary with objects besides weights"),
        (saved(torch.zeros(3)), "it is a Tensor, not a network"),
        (saved([1, 2]), "it is a list, not a network"),
        (saved(Classifier()), "Classifier, which runs code when it is loaded"),
        (saved(Classifier(), as_zip=False), "Classifier, which runs code when it is loaded"),
        (pickle.dumps(Path("x")), "which runs code when it is loaded"),
        (saved(STATE)[:-200], "it is a zip file that is cut off"),
        (saved(STATE, as_zip=False)[:-200], "cut off or broken"),
        (exported, "it is a program of torch.export (.pt2)"),
        (SAFETENSORS, 'safetensors.torch.load_file("net.pt")'),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.0.0", "it is an ONNX model"),
        (LFS_POINTER, "it is a git-lfs pointer, not the checkpoint: git lfs pull --include=net.pt"),
        (b"", "it is an empty file: fetch it again"),
        (gzip.compress(b"net", mtime=0), "it is a gzip file"),
        (tar(), "it is a tar archive"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "it is a web page"),
        (b'{"message": "Not Found"}', "it is text, perhaps a server's error, that begins with '{\"message\""),
        ("\u00e9".encode() * 2000, "it is text"),
        (zipped("MAR-INF/MANIFEST.json"), "it is a model archive already"),
        (zipped("photo.jpg"), "it is a zip file of something else (it holds photo.jpg)"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "it is an HDF5 file"),
        (bytes(range(256)), "it is of no known format"),
        (bytes(3), "it is of no known format"),
        (zipped("net/constants.pkl"), "cannot be loaded by torch"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_error_says_what_the_file_is_and_what_helps(
    tmp_path: Path, content: bytes | Callable[[], bytes], said: str
) -> None:
    checkpoint = tmp_path / "net.pt"
    checkpoint.write_bytes(content() if callable(content) else content)
    assert said in refused(checkpoint)


def test_a_folder_is_not_a_checkpoint(tmp_path: Path) -> None:
    checkpoint = tmp_path / "net.pt"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").touch()
    assert "it is a folder (it holds model.safetensors)" in refused(checkpoint)
    weights = settings(checkpoint, f"model.weights.sha256={'0' * 64}").model.checkpoint
    with pytest.raises(WeightsError, match="cannot be read"):
        fetch_weights(weights)


def test_nothing_in_the_file_is_run(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (tmp_path / "ran",))

    for as_zip in (True, False):
        checkpoint = tmp_path / "net.pt"
        checkpoint.write_bytes(saved({"model": Runs()}, as_zip=as_zip))
        refused(checkpoint)
    assert not (tmp_path / "ran").exists()

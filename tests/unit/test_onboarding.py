"""A model's file becomes `config/model/<name>.yaml`; what cannot be guessed is asked for in one line."""

import json
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.commands import command
from tests.small_network import SmallNetwork
from torchserve_gateway.commands.onboarding.versions import next_version
from torchserve_gateway.onboarding.asked import Asked
from torchserve_gateway.onboarding.description import describe
from torchserve_gateway.onboarding.errors import OnboardingError
from torchserve_gateway.onboarding.inspection import inspect_file
from torchserve_gateway.onboarding.probing import probed
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.deployment import UploadSettings
from ts_serialize.torchscript import loaded

ARCHITECTURE = """
import torch

class Block(torch.nn.Module):
    def __init__(self, width):
        super().__init__()

class Pets(torch.nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.classes = torch.nn.Linear(3, classes)

    def forward(self, images):
        return self.classes(images.mean((2, 3)))
"""


class Pets(nn.Module):
    """Three logits of an image of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Linear(3, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classes(images.mean((2, 3)))  # type: ignore[no-any-return]


class Digits(nn.Module):
    """Of grey images of 28 x 28 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Linear(28 * 28, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classes(images.flatten(1))  # type: ignore[no-any-return]


class OneDigit(Digits):
    """Of a single image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classes(images.view(1, -1))  # type: ignore[no-any-return]


class Pair(nn.Module):
    """Two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Linear(3, 3)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.classes(images.mean((2, 3)))
        return logits, logits


class Segmenter(nn.Module):
    """A class per pixel."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images * 2


class Touches:
    """Leaves a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.file,)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; as typed in a shell, not by make."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAKELEVEL", raising=False)
    return tmp_path


def scripted(network: nn.Module, file: str = "pets.pt") -> Path:
    torch.jit.save(torch.jit.script(network), file)
    return Path(file)


def traced(network: nn.Module, *shape: int) -> Path:
    made = torch.jit.trace(network, torch.zeros(shape), check_trace=False)  # type: ignore[no-untyped-call]
    torch.jit.save(made, "pets.pt")
    return Path("pets.pt")


def saved(content: object) -> Path:
    torch.save(content, "pets.pt")
    return Path("pets.pt")


def labels(*names: str) -> str:
    Path("labels.txt").write_text("\n".join(names) + "\n")
    return "labels.txt"


def refusal(file: Path, architecture: str | None = None) -> OnboardingError:
    with pytest.raises(OnboardingError) as caught:
        inspect_file(file, None, Path(architecture) if architecture else None)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


def model(name: str = "pets") -> UploadSettings:
    return load("upload", UploadSettings, [f"model={name}"])


def test_a_network_of_any_size_gets_the_usual_size_as_a_guess() -> None:
    found = inspect_file(scripted(Pets().eval()), None, None)
    assert (found.input.height, found.input.width, found.input.guessed) == (224, 224, True)
    assert (found.outputs, found.batches, found.as_it_is) == (3, True, True)
    assert "scripted" in found.lines[0]
    assert "a guess" in found.lines[1]


def test_the_size_of_a_traced_network_is_the_recorded_size() -> None:
    found = inspect_file(traced(Pets().eval(), 1, 3, 40, 56), None, None)
    assert (found.input.channels, found.input.height, found.input.width) == (3, 40, 56)
    assert "traced on an example of shape (1, 3, 40, 56)" in found.lines[0]
    assert not found.input.guessed


def test_a_size_that_is_given_wins() -> None:
    found = inspect_file(traced(Pets().eval(), 1, 3, 40, 56), (96, 96), None)
    assert (found.input.height, found.input.width) == (96, 96)


def test_the_only_size_that_fits_is_found() -> None:
    found = inspect_file(scripted(Digits().eval()), None, None)
    assert (found.input.channels, found.input.height, found.outputs) == (1, 28, 10)
    assert not found.input.guessed


def test_a_size_that_is_not_usual_is_asked_for() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classes = nn.Linear(3 * 50 * 50, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.classes(images.flatten(1))  # type: ignore[no-any-return]

    refused = refusal(scripted(Odd().eval()))
    assert "runs on none of the usual sizes" in str(refused)
    assert list(refused.options) == ["image"]
    assert inspect_file(Path("pets.pt"), (50, 50), None).outputs == 3


def test_a_network_that_does_not_return_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    released = False

    class Endless(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            while not released:
                pass
            return images

    monkeypatch.setattr("torchserve_gateway.onboarding.probing.GIVE_UP_S", 0.05)
    try:
        with pytest.raises(OnboardingError, match="does not answer within"):
            probed(Endless(), None, None)
    finally:
        released = True


def test_a_network_of_a_single_image_is_served_without_batches() -> None:
    found = inspect_file(traced(OneDigit().eval(), 1, 1, 28, 28), None, None)
    assert not found.batches
    assert any("one image at a time" in line for line in found.lines)


def test_half_precision_is_converted() -> None:
    found = inspect_file(scripted(Pets().half().eval()), None, None)
    assert not found.as_it_is
    assert any("torch.float16" in line for line in found.lines)


def test_a_program_of_torch_export_is_served_by_its_engine() -> None:
    batch = torch.export.Dim("batch")
    example = (torch.zeros(2, 3, 32, 32),)
    torch.export.save(torch.export.export(Pets().eval(), example, dynamic_shapes=({0: batch},)), "pets.pt2")
    found = inspect_file(Path("pets.pt2"), None, None)
    assert (found.engine, found.input.height, found.outputs) == ("torch_export", 32, 3)
    describe(Asked("pets.pt2", "numbers"), update=False)
    assert model().model.engine == "torch_export"
    assert list(model().model.calibration_images.iterdir())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("network", "said"),
    [(Pair(), "answers a tuple of 2"), (Segmenter(), "answers a tensor of shape (1, 3, 224, 224)")],
)
def test_other_answers_than_a_row_of_numbers_are_named(network: nn.Module, said: str) -> None:
    assert said in str(refusal(scripted(network.eval())))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n", "a git-lfs pointer"),
        (b"\x08\x07\x12\x07pytorch", "an ONNX model"),
    ],
)
def test_other_files_are_named(content: bytes, said: str) -> None:
    Path("pets.pt").write_bytes(content)
    assert said in str(refusal(Path("pets.pt")))


def test_an_archive_is_deployed_as_it_is() -> None:
    with zipfile.ZipFile("pets.mar", "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", "{}")
    assert "make upload_model MAR=pets.mar" in str(refusal(Path("pets.mar")))


def test_nothing_in_a_foreign_pickle_runs() -> None:
    saved(Touches(Path("ran")))
    refusal(Path("pets.pt"))
    Path("pets.pt").write_bytes(pickle.dumps(Touches(Path("ran"))))
    refusal(Path("pets.pt"))
    # Beside a traced network's example, where torch itself does not look.
    traced(Pets().eval(), 1, 3, 40, 40)
    with zipfile.ZipFile("pets.pt") as source, zipfile.ZipFile("other.pt", "w") as target:
        for each in source.namelist():
            own = each.endswith("traced_inputs.pkl")
            name = each.replace("pets/", "other/", 1)
            target.writestr(name, pickle.dumps(Touches(Path("ran"))) if own else source.read(each))
    assert "traced" in inspect_file(Path("other.pt"), None, None).lines[0]
    assert not Path("ran").exists()


def test_a_state_dict_asks_for_its_architecture() -> None:
    refused = refusal(saved(Pets().state_dict()))
    assert "a state dict (2 tensors)" in str(refused)
    assert refused.options == {"architecture": "network.py"}


@pytest.mark.parametrize(
    "content",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {"model": {f"module.{name}": tensor for name, tensor in state.items()}},
    ],
)
def test_weights_are_put_into_the_network_of_the_callers_file(
    content: Callable[[dict[str, torch.Tensor]], object],
) -> None:
    Path("network.py").write_text(ARCHITECTURE)
    network = Pets().eval()
    described = describe(
        Asked(
            str(saved(content(network.state_dict()))), labels("cat", "dog", "bird"), architecture="network.py"
        ),
        update=False,
    )
    assert any("network: Pets of network.py" in line for line in described.lines)
    packed = loaded(Path(model().model.weights.path))  # type: ignore[union-attr]
    images = torch.rand(2, 3, 224, 224)
    torch.testing.assert_close(packed(images), network(images))


def test_safetensors_are_read() -> None:
    Path("network.py").write_text(ARCHITECTURE)
    network, header, data = Pets().eval(), {}, b""
    for name, tensor in network.state_dict().items():
        encoded = tensor.numpy().tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(encoded)],
        }
        data += encoded
    encoded_header = json.dumps(header).encode()
    Path("pets.safetensors").write_bytes(struct.pack("<Q", len(encoded_header)) + encoded_header + data)
    found = inspect_file(Path("pets.safetensors"), None, Path("network.py"))
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(found.network(images), network(images))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nowhere", "fails: ModuleNotFoundError: No module named 'nowhere'"),
        ("class Pets: pass", "needs a torch.nn.Module class that takes no arguments (it has no class)"),
        (ARCHITECTURE.replace("classes=3", "classes"), "Pets takes classes"),
        (ARCHITECTURE.replace("self.classes =", "self.head ="), "the network lacks classes.bias"),
        (ARCHITECTURE.replace("classes=3", "classes=5"), "size mismatch"),
    ],
)
def test_an_architecture_that_does_not_fit_is_said(source: str, said: str) -> None:
    Path("network.py").write_text(source)
    assert said in str(refusal(saved(Pets().state_dict()), "network.py"))


def test_the_file_is_complete_and_says_what_is_a_guess() -> None:
    weights = scripted(SmallNetwork().eval())
    described = describe(Asked(str(weights), labels(*map(str, range(10)))), update=False)
    settings = model().model
    assert (settings.name, settings.version, settings.labels) == ("pets", "1.0", list(map(str, range(10))))
    assert settings.image is not None
    assert (settings.image.resize, settings.image.crop) == (256, 224)
    assert settings.weights is not None
    assert settings.weights.path == weights.resolve()
    assert described.file.read_text().count("GUESS") == 2


def test_grey_images_of_another_size_are_described() -> None:
    describe(Asked(str(scripted(Digits().eval())), "numbers", name="digits"), update=False)
    settings = model("digits").model
    assert settings.labels == [f"class_{index}" for index in range(10)]
    assert settings.image is not None
    assert (settings.image.resize, settings.image.mean) == ([28, 28], [0.1307])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("cat", "dog"), "has 2 labels (cat, dog), pets.pt answers 3 numbers per image: 1 is missing"),
        (("classes", "cat", "dog", "bird"), "1 is too many"),
        (("cat", "cat", "dog"), "cat more than once"),
    ],
)
def test_labels_that_do_not_fit_are_named_and_nothing_is_written(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(OnboardingError) as caught:
        describe(Asked(str(scripted(Pets().eval())), labels(*names)), update=False)
    assert said in str(caught.value)
    assert not Path("config").exists()


def test_a_file_that_exists_is_not_replaced_unasked() -> None:
    asked = Asked(str(scripted(Pets().eval())), labels("cat", "dog", "bird"))
    file = describe(asked, update=False).file
    file.write_text("name: mine\n")
    for update in (False, True):
        with pytest.raises(OnboardingError):
            describe(asked, update=update)
    assert file.read_text() == "name: mine\n"
    describe(asked.with_options({"force": "1"}), update=False)
    assert model().model.labels == ["cat", "dog", "bird"]


def test_another_checkpoint_keeps_what_the_caller_edited() -> None:
    asked = Asked(str(scripted(Pets().eval())), "numbers")
    file = describe(asked, update=True).file
    file.write_text(file.read_text().replace("max_batch_delay: 20", "max_batch_delay: 7"))
    other = str(scripted(Pets().eval(), "other.pt"))
    describe(Asked(other, labels("cat", "dog", "bird"), name="pets"), update=True)
    settings = model().model
    assert settings.labels == ["cat", "dog", "bird"]
    assert settings.max_batch_delay == 7
    assert settings.weights is not None
    assert settings.weights.path == Path("other.pt").resolve()


def test_a_url_is_downloaded_with_its_checksum(folder: Path) -> None:
    file = scripted(Pets().eval())
    url = f"file://{file.resolve()}"
    with pytest.raises(OnboardingError, match="only with its checksum") as caught:
        describe(Asked(url, "numbers"), update=False)
    assert "sha256" in caught.value.options
    with pytest.raises(OnboardingError, match="has sha256"):
        describe(Asked(url, "numbers", sha256="0" * 64), update=False)
    assert not (folder / "weights" / "pets.pt").exists()


@pytest.mark.parametrize(
    ("asked", "make", "line"),
    [
        (
            Asked("my pets.pt", "labels.txt"),
            False,
            "torchserve-gateway serve 'my pets.pt' --labels labels.txt",
        ),
        (
            Asked("pets.pt", image_file="cat.jpg", force=True),
            True,
            "make serve WEIGHTS=pets.pt IMAGE_FILE=cat.jpg FORCE=1",
        ),
    ],
)
def test_the_next_command_is_spelled_as_the_last(asked: Asked, line: str, *, make: bool) -> None:
    assert asked.command("serve", make=make) == line


def test_a_failure_ends_with_the_next_command(monkeypatch: pytest.MonkeyPatch) -> None:
    labels("cat", "dog", "bird")
    scripted(Pets().eval())
    result = command("serve", "pets.pt")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "next: torchserve-gateway serve pets.pt --labels labels.txt"
    monkeypatch.setenv("MAKELEVEL", "1")
    result = command("new-model", "--name", "pets", "--weights", "pets.pt")
    assert (
        result.stderr.splitlines()[-1] == "next: make new_model WEIGHTS=pets.pt LABELS=labels.txt NAME=pets"
    )


def test_the_typed_effort_of_others_is_counted() -> None:
    [_, section] = (PROJECT_ROOT / "docs" / "own-model.md").read_text().split("\n## Typed effort\n")
    section = section.split("\n## ")[0]
    said = dict(re.findall(r"^\| (\w+)[^|]* \| (\d+) \|$", section, re.MULTILINE))
    for name, code in re.findall(
        r"^(\w+)[^\n]*:\n\n```(?:python)?\n(.*?)```", section, re.MULTILINE | re.DOTALL
    ):
        # A program is started by a command.
        commands = 0 if name == "TorchServe" else 1
        assert int(said.pop(name)) == len(list(filter(str.strip, code.splitlines()))) + commands
    assert said == {"this": "1"}


@pytest.mark.parametrize(("taken", "wanted"), [({"1.0", "9.0", "10.0"}, "11.0"), ({"beta"}, "1.0")])
def test_the_next_version_was_never_used(taken: set[str], wanted: str) -> None:
    assert next_version(taken) == wanted

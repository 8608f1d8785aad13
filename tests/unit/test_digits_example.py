"""The handler of examples/digits as a plain class, with the committed weights."""

import io
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import torch
from PIL import Image

from examples.digits.handler import DigitHandler
from examples.digits.network import DigitNetwork
from examples.digits.send import send
from examples.digits.settings import DigitsSettings
from tests.fake_torchserve import FakeTorchServe, listening
from tests.handler_context import answers, context
from torchserve_gateway.settings.composition import PROJECT_ROOT, load

EXAMPLE = PROJECT_ROOT / "examples/digits"


@pytest.fixture
def handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DigitHandler:
    """Loaded as TorchServe does: the model file is a module at the root of the archive."""
    for name in ("network.py", "digits.pt"):
        shutil.copyfile(EXAMPLE / name, tmp_path / name.replace("network", "digit_network"))
    monkeypatch.syspath_prepend(tmp_path)
    handler = DigitHandler()
    handler.initialize(context(tmp_path, 0, serializedFile="digits.pt", modelFile="digit_network.py"))
    return handler


def test_digits_are_answered_as_text(handler: DigitHandler, tmp_path: Path) -> None:
    rows = [{"body": (EXAMPLE / f"samples/{digit}.png").read_bytes()} for digit in (3, 7)]
    assert answers(handler, tmp_path, [*rows, {"body": b"?"}])[:2] == [(200, "3"), (200, "7")]


@pytest.mark.parametrize("size", [(28, 28), (200, 100)])
@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_any_image_is_scaled_to_the_networks_input(
    handler: DigitHandler, size: tuple[int, int], mode: str
) -> None:
    file = io.BytesIO()
    Image.new(mode, size, "white").save(file, "PNG")
    decoded = handler.decode({"body": file.getvalue()})
    assert torch.equal(decoded, torch.ones(1, 28, 28))


def test_held_out_digits_go_to_the_name_at_torchserve(capsys: pytest.CaptureFixture[str]) -> None:
    torchserve = FakeTorchServe(httpx.Response(200, text="3"))
    with listening(torchserve) as url:
        port = f"gateway.port={urlsplit(url).port}"
        send(load("digits", DigitsSettings, ["served_model.model_name=numbers", "count=2", port]))
    assert [each.url.path for each in torchserve.requests] == ["/predictions/numbers"] * 2
    printed = capsys.readouterr().out
    assert "Predicted" in printed
    assert "Accuracy: " in printed


def test_the_committed_weights_are_the_networks() -> None:
    state = torch.load(EXAMPLE / "digits.pt", weights_only=True)
    assert DigitNetwork().load_state_dict(state)
    assert (EXAMPLE / "digits.pt").stat().st_size < 1e6

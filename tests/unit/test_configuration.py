"""Every root composes, and what is wrong in it is named."""

import pytest

from configuration import PROJECT_ROOT, ConfigurationError, Settings, load, reachable_address
from deployment.overview import OverviewSettings
from deployment.settings import SwapSettings, UploadSettings
from load_test.settings import StressSettings
from local_stack.settings import StackSettings
from project_settings import ProjectSettings
from tests.running_stack import run
from ts_serialize.archive import ArchiveSettings

ROOTS: list[tuple[str, type[Settings]]] = [
    ("archive", ArchiveSettings),
    ("gateway", ProjectSettings),
    ("models", OverviewSettings),
    ("rollback", SwapSettings),
    ("stack", StackSettings),
    ("stress", StressSettings),
    ("upload", UploadSettings),
]


@pytest.mark.parametrize(("root", "settings_type"), ROOTS)
def test_every_root_composes_and_validates(root: str, settings_type: type[Settings]) -> None:
    assert isinstance(load(root, settings_type), settings_type)


@pytest.mark.parametrize(("root", "settings_type"), ROOTS)
def test_an_override_of_a_shared_group_suits_every_root(root: str, settings_type: type[Settings]) -> None:
    settings = load(root, settings_type, ["gateway.port=6003"])
    assert settings.model_dump()["gateway"]["port"] == 6003


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("gateway.port=0", "gateway.port = 0"),
        ("gateway.prot=5003", "gateway.prot"),
        ("+gateway.prot=5003", "gateway.prot = 5003"),
        ("model=nonesuch", "nonesuch"),
        ("model.version=1.10", "quote it"),
        ("model.name=../x", "model.name = '../x'"),
        ("model.labels=[A,B,A]", "labels name A more than once"),
        ("model.weights.url=http://127.0.0.1/w.pt", "sha256 is required"),
        ("model.handler_modules=[/etc/passwd]", "outside the project"),
        ("model.image.resize=64", "resize has to be [height, width] to make batches"),
        ("model.image={resize: 64, crop: 65}", "crop = 65 is larger than resize = 64"),
        ("model.image.resize=[100000,10]", "resize = 100000: an edge has 1 to 4096 pixels"),
        ("model.image.std=[0.1,0,0.1]", "each is a finite number above 0"),
        ("torchserve.inference_url=http://127.0.0.1", "the port is missing"),
        ("torchserve.inference_url=localhost:8080", "localhost:8080"),
        ("torchserve.allowed_urls=['https://a/[0-9]{1,2}']", "apart at its comma"),
        ("torchserve.allowed_urls=['https://(']", "no regular expression"),
        ("gateway.deadline_s=31", "must be below model.response_timeout"),
    ],
)
def test_a_wrong_setting_is_named(override: str, named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("gateway", ProjectSettings, [override])
    assert named in str(caught.value)


def test_a_command_says_one_line_and_exits_with_2() -> None:
    result = run("upload_model.py", "model.batch_size=0")
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("configuration error: config/upload.yaml: model.batch_size = 0: Input should be")


def test_a_command_prints_its_configuration() -> None:
    result = run("stress.py", "--cfg", "clients=3")
    assert result.returncode == 0
    assert "clients: 3" in result.stdout


def test_relative_paths_count_from_the_project_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert load("stress", StressSettings).images_dir == PROJECT_ROOT / "imgs"


def test_a_wildcard_address_becomes_one_that_others_reach() -> None:
    assert reachable_address("127.0.0.1") == "127.0.0.1"
    assert reachable_address("0.0.0.0") not in ("0.0.0.0", "")

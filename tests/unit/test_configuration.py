"""Every root composes, and what is wrong in it is named."""

import shutil
from pathlib import Path

import pytest

from tests.commands import command
from tests.composed_settings import gateway_settings, load_once
from tests.running_stack import run
from torchserve_gateway.commands.migration.adopt import AdoptSettings
from torchserve_gateway.commands.models import OverviewSettings
from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.settings.composition import (
    PROJECT_ROOT,
    ConfigurationError,
    Settings,
    as_override,
    load,
    path_in_archive,
    reachable_address,
)
from torchserve_gateway.settings.demo import DemoSettings
from torchserve_gateway.settings.deployment import SwapSettings, UploadSettings
from torchserve_gateway.settings.load_test import StressSettings
from torchserve_gateway.settings.local_stack import StackSettings
from torchserve_gateway.settings.optimization import OptimizeSettings
from torchserve_gateway.settings.project import ProjectSettings

ROOTS: list[tuple[str, type[Settings]]] = [
    ("adopt", AdoptSettings),
    ("archive", ArchiveSettings),
    ("demo", DemoSettings),
    ("gateway", ProjectSettings),
    ("models", OverviewSettings),
    ("optimize", OptimizeSettings),
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
        (
            "model.precision=int8",
            "engine torchscript computes in fp32 or bf16 or fp16; int8 needs engine: openvino",
        ),
        ("model={engine: onnxruntime, precision: bf16}", "needs engine: torchscript, torch_export, openvino"),
        ("model.engine=tensorrt", "model.engine = 'tensorrt'"),
        (
            "model={engine: openvino, precision: int8, calibration_images: null}",
            "set calibration_images to a folder",
        ),
        ("model.parity.max_difference=2", "model.parity.max_difference = 2"),
        ("torchserve.inference_url=http://127.0.0.1", "the port is missing"),
        ("torchserve.inference_url=localhost:8080", "localhost:8080"),
        ("torchserve.allowed_urls=['https://a/[0-9]{1,2}']", "apart at its comma"),
        ("torchserve.allowed_urls=['https://(']", "no regular expression"),
        (
            "gateway.max_request_bytes=6553501",
            "must not be above torchserve.properties.max_request_size = 6553500",
        ),
        ("torchserve.properties.max_request_size=much", "max_request_size is 'much'"),
        ("torchserve.properties.max_request_size=true", "max_request_size is True"),
        ("gateway.deadline_s=31", "must be below model.response_timeout"),
    ],
)
def test_a_wrong_setting_is_named(override: str, named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("gateway", ProjectSettings, [override])
    assert named in str(caught.value)


def test_a_limit_that_torchserve_is_not_given_is_its_own() -> None:
    overrides = ["~torchserve.properties.max_request_size", "gateway.max_request_bytes=6553500"]
    assert load("gateway", ProjectSettings, overrides).gateway.max_request_bytes == 6553500
    with pytest.raises(ConfigurationError, match="max_request_size = 6553500"):
        load("gateway", ProjectSettings, [*overrides[:1], "gateway.max_request_bytes=7000000"])


def test_one_address_for_both_apis_suits_the_gateway_and_not_the_deployer() -> None:
    one = "http://127.0.0.1:8080"
    overrides = [f"torchserve.inference_url={one}", f"torchserve.management_url={one}"]
    assert load("gateway", ProjectSettings, overrides).torchserve.management_url == one
    for root, settings_type in (("upload", UploadSettings), ("rollback", SwapSettings)):
        with pytest.raises(ConfigurationError, match=f"Management API at {one} shares its address"):
            load(root, settings_type, overrides)


def test_both_limits_are_raised_together() -> None:
    settings = load("gateway", ProjectSettings, ["torchserve.properties.max_request_size=50000000"])
    assert settings.gateway.max_request_bytes == 50_000_000


@pytest.mark.slow
def test_a_command_says_one_line_and_exits_with_2() -> None:
    result = run("upload_model.py", "model.batch_size=0")
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("configuration error: config/upload.yaml: model.batch_size = 0: Input should be")


def test_the_composed_configuration_is_printed() -> None:
    result = command("config", "stress", "clients=3")
    assert result.exit_code == 0
    assert "clients: 3" in result.stdout


def test_relative_paths_count_from_the_working_folder_and_the_package_fills_gaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load("stack", StackSettings)
    assert settings.state_dir == tmp_path / "var"
    assert settings.model.checkpoint.path.samefile(PROJECT_ROOT / "weights" / "genre.pt")
    assert settings.model.handler == PROJECT_ROOT / "ts_serialize" / "handler.py"
    assert load("stress", StressSettings).images_dir.samefile(PROJECT_ROOT / "imgs")
    (tmp_path / "imgs").mkdir()
    assert load("stress", StressSettings).images_dir == tmp_path / "imgs"
    nowhere = load("stress", StressSettings, ["images_dir=posters"])
    assert nowhere.images_dir == tmp_path / "posters"


def test_a_download_is_never_written_into_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = ["model.weights.url=http://127.0.0.1/w.pt", f"model.weights.sha256={'0' * 64}"]
    assert load("archive", ArchiveSettings, url).model.checkpoint.path == tmp_path / "weights" / "genre.pt"


def test_configuration_in_the_working_folder_wins_and_is_added_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config" / "model").mkdir(parents=True)
    (tmp_path / "config" / "file_browser").mkdir()
    (tmp_path / "config" / "model" / "cat.yaml").write_text("defaults: [genre, _self_]\nname: cat\n")
    (tmp_path / "config" / "file_browser" / "local.yaml").write_text("host: 127.0.0.1\nport: 6002\n")
    settings = load("gateway", ProjectSettings, ["model=cat"])
    assert (settings.model.name, settings.model.batch_size) == ("cat", 8)
    assert settings.file_browser.port == 6002
    (tmp_path / "config" / "model" / "odd.yaml").write_text("- a\n")
    with pytest.raises(ConfigurationError, match=r"config/model/odd\.yaml is no YAML with keys and values"):
        load("gateway", ProjectSettings, ["model=odd"])


def test_a_module_of_the_user_is_packed_under_its_path_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "ears.py").touch()
    modules = ["cats/ears.py", "ts_serialize/preprocessing.py"]
    found = load("gateway", ProjectSettings, [f"model.handler_modules=[{','.join(modules)}]"])
    assert [str(path_in_archive(each)) for each in found.model.handler_modules] == modules


def test_a_wildcard_address_becomes_one_that_others_reach() -> None:
    assert reachable_address("127.0.0.1") == "127.0.0.1"
    assert reachable_address("0.0.0.0") not in ("0.0.0.0", "")


@pytest.fixture
def config_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of config/ that a test may break; no other is found."""
    copy = shutil.copytree(PROJECT_ROOT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torchserve_gateway.settings.composition.CONFIG_DIR", copy)
    return copy


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name: x\n\tbad: 1\n", "config/model/odd.yaml, line 2, column 1: "),
        (b"name: x\n\tbad: 1\n", "found character '\\t' that cannot start any token; indent with spaces"),
        (b"name: [x\nfoo: 1\n", "config/model/odd.yaml, line 2, column 4: while parsing a flow sequence"),
        (b"name: a\nname: b\n", "config/model/odd.yaml, line 2, column 1: "),
        (
            b"name: !!python/object:os.system x\n",
            "config/model/odd.yaml, line 1, column 7: could not determine",
        ),
        (b"name: \x00\n", "unacceptable character"),
        (b"name: \xff\xfe\n", "config/model/odd.yaml: not UTF-8"),
        (b"- a\n", "config/model/odd.yaml is no YAML with keys and values"),
        (b"just text\n", "config/model/odd.yaml is no YAML with keys and values"),
        (b"", "Interpolation key 'model.name' not found"),
        (b"name: ${nonesuch.key}\n", "Interpolation key 'nonesuch.key' not found"),
        (b"name: ${nonesuch\n", "no viable alternative at input '${nonesuch'"),
        (b"name: ${oc.env:NONESUCH}\n", "Environment variable 'NONESUCH' not found"),
        (b"name: ???\n", "Missing mandatory value: name"),
        (b"name: !!int x\n", "config/model/odd.yaml is no YAML with keys and values"),
        (b"name: 2020-99-99\n", "model.version: Field required"),
        (b"name: &a [*a]\n", "maximum recursion depth"),
        (b"name: " + b"[" * 3000, "config/model/odd.yaml is no YAML with keys and values"),
        (b"defaults: 1\n", "defaults must be a list"),
        (b"# @package [\nname: x\n", "list index out of range"),
        (b"defaults:\n  - nonesuch\n", "Could not load 'model/nonesuch'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_cannot_be_composed_is_one_line_with_the_place(
    config_dir: Path, content: bytes, said: str
) -> None:
    (config_dir / "model" / "odd.yaml").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load("gateway", ProjectSettings, ["model=odd"])
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_torchserve_logs_where_deploys_look_for_its_errors(tmp_path: Path) -> None:
    for root, settings_type in (("stack", StackSettings), ("upload", UploadSettings)):
        assert load(root, settings_type).torchserve.log_dir == Path.cwd() / "var" / "log"
    moved = load("stack", StackSettings, [as_override("state_dir", tmp_path)])
    assert moved.torchserve.log_dir == moved.log_dir == tmp_path / "log"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("batch_size=4", "did you mean model.batch_size or request_params.batch_size?"),
        ("bachsize=4", "did you mean model.batch_size or request_params.batch_size?"),
        ("model.batchsize=4", "did you mean model.batch_size?"),
        ("gateway.prot=1", "did you mean gateway.port?"),
        ("modle=genre", "did you mean model?"),
        ("strategy.nonesuch=1", "see torchserve-gateway config upload"),
    ],
)
def test_a_mistyped_key_is_named_in_full_with_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("upload", UploadSettings, [typed])
    key = typed.partition("=")[0]
    assert str(caught.value).startswith(f"config/upload.yaml has no key {key}; ")
    assert str(caught.value).endswith(meant)


def test_what_is_no_file_is_one_line(config_dir: Path) -> None:
    (config_dir / "model" / "folder.yaml").mkdir()
    (config_dir / "model" / "loop.yaml").symlink_to("loop.yaml")
    for name in ("folder", "loop", "nonesuch"):
        with pytest.raises(ConfigurationError, match=f"Could not find 'model/{name}'"):
            load("gateway", ProjectSettings, [f"model={name}"])
    (config_dir / "gateway.yaml").unlink()
    with pytest.raises(ConfigurationError, match=r"config/gateway\.yaml"):
        load("gateway", ProjectSettings)


@pytest.mark.parametrize(
    "arguments",
    ["deploy", "config stack", "manage list", "manage describe genre", "key app"],
)
def test_every_command_says_a_wrong_override_in_one_line(arguments: str) -> None:
    result = command(*arguments.split(), "model.name=${nonesuch")
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("configuration error: ")


@pytest.mark.parametrize(
    "value",
    [
        "/my clone, v=1 (it's 100% {ok})",
        "/[a] b;c #d $e 'f' \"g\" ~ é",
        "/ends with \\",
        "/a\\'b\\\\",
        "/x=${y}",
        "/a\\${b}",
        "null",
        "1.0",
    ],
)
def test_any_text_can_be_an_override(value: str) -> None:
    labels = load("archive", ArchiveSettings, [as_override("model.labels.0", value)]).model.labels
    assert labels[0] == value


@pytest.mark.slow
def test_the_settings_that_tests_compose_once_are_those_of_the_program() -> None:
    for overrides in (
        [],
        ["torchserve.inference_url=http://127.0.0.1:9", "gateway.max_request_bytes=10000"],
        ["torchserve.properties.max_request_size=50000000", "torchserve.management_urls=['http://a:1']"],
        ["+torchserve.properties.number_of_gpu=1", "model.labels=[A,B]", "gateway.deadline_s=2"],
    ):
        assert gateway_settings(*overrides) == load("gateway", ProjectSettings, overrides)
    upload = ["archive_source=model_mars", "archive_source.url=http://a/x.mar", "settle_s=1"]
    for overrides in ([], upload, upload[1:], ["model_mars=/a", "force=true"]):
        assert load_once("upload", UploadSettings, overrides) == load("upload", UploadSettings, overrides)

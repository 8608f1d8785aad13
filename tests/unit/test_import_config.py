"""make import_config: every key of config.properties has a fate, read as Java and TorchServe read it."""

import json
import re
import struct
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.commands import command
from torchserve_gateway.migration import known_keys
from torchserve_gateway.migration.java_properties import parsed
from torchserve_gateway.settings.composition import load
from torchserve_gateway.settings.deployment import SwapSettings
from torchserve_gateway.settings.local_stack import StackSettings

THEIRS = r"""
# theirs
inference_address=http://0.0.0.0:8080
management_address=https://127.0.0.1:8444
metrics_address http://127.0.0.1:9082
grpc_inference_port = 7170
model_store=model_store
load_models=m=foo.mar, bar.mar
models={\
  "m": {\
    "1.0": {"marName": "foo.mar", "minWorkers": 1, "batchSize": 4, "maxBatchDelay": 50}}}
number_of_gpu=0
job_queue_size : 200
disable_token_authorization=true
keystore=keys.p12
keystore_pass=secret
vmargs=-Xmx1g -Dx=${y}
job_que=3
default_response_timeout=soon
service_envelope=kserve
system_metrics_cmd=metrics.py --of $$USER_OF_TEST$$
metrics_config=metrics.yaml
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `config.properties`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USER_OF_TEST", "me")
    (tmp_path / "config.properties").write_text(THEIRS, "latin-1")
    return tmp_path


def imported(*arguments: str) -> dict[str, dict[str, str]]:
    result = command("import-config", "config.properties", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return {each["key"]: each for each in json.loads(result.stdout)["decisions"]}


def test_each_key_is_kept_overridden_or_refused_with_its_reason(folder: Path) -> None:
    found = imported()
    assert {key: each["verdict"] for key, each in found.items()} == {
        **dict.fromkeys(("metrics_address", "grpc_inference_port", "model_store", "number_of_gpu"), "kept"),
        **dict.fromkeys(("job_queue_size", "disable_token_authorization", "vmargs"), "kept"),
        **dict.fromkeys(("system_metrics_cmd", "metrics_config"), "kept"),
        **dict.fromkeys(("inference_address", "management_address", "load_models", "models"), "overridden"),
        **dict.fromkeys(("keystore", "keystore_pass"), "overridden"),
        **dict.fromkeys(("job_que", "default_response_timeout", "service_envelope"), "refused"),
    }
    assert all(each["reason"] for each in found.values() if each["verdict"] != "kept")
    assert "did you mean job_queue_size?" in found["job_que"]["reason"]
    assert "secret" not in json.dumps(found)


def test_the_yaml_is_a_choice_of_torchserve(folder: Path) -> None:
    imported("--name", "theirs")
    torchserve = load("stack", StackSettings, ["torchserve=theirs"]).torchserve
    assert torchserve.inference_url == "http://127.0.0.1:8080"
    assert torchserve.management_url == "http://127.0.0.1:8444"
    assert torchserve.metrics_url == "http://127.0.0.1:9082"
    assert torchserve.grpc_inference_port == 7170
    assert torchserve.model_store == folder / "model_store"
    assert torchserve.token_authorization is False
    assert torchserve.environment["JAVA_TOOL_OPTIONS"] == "-Xmx1g -Dx=${y}"
    assert str(torchserve.properties["number_of_gpu"]) == "0"
    assert torchserve.properties["job_queue_size"] == 200
    # TorchServe replaces the variable at its start.
    assert torchserve.properties["system_metrics_cmd"] == "metrics.py --of $$USER_OF_TEST$$"
    assert torchserve.properties["metrics_config"] == f"{folder}/metrics.yaml"
    # Ours, where theirs says nothing.
    assert torchserve.properties["enable_model_api"] is True


def test_a_file_that_exists_is_kept(folder: Path) -> None:
    imported("--name", "theirs")
    result = command("import-config", "config.properties", "--name", "theirs")
    assert (result.exit_code, "theirs.yaml exists; --force" in result.stderr) == (1, True)
    imported("--name", "theirs", "--force")


def test_without_a_name_the_yaml_is_printed(folder: Path) -> None:
    result = command("import-config", "config.properties")
    assert result.exit_code == 0, result.stderr
    assert "torchserve.environment.OMP_NUM_THREADS=" in result.stdout
    table, _, printed = result.stdout.partition("\n# config/torchserve/<name>.yaml")
    assert "job_queue_size" in table
    content = yaml.safe_load(printed.partition("\n")[2])
    assert content["defaults"] == ["local", "_self_"]
    assert content["inference_url"] == "http://127.0.0.1:8080"
    assert not (folder / "config").exists()


def test_models_that_torchserve_would_load_become_deploys(folder: Path) -> None:
    result = command("import-config", "config.properties", "--json", "--name", "theirs")
    found = json.loads(result.stdout)["deploys"]
    deploy = f"torchserve-gateway deploy torchserve=theirs archive_source.path={folder}/model_store"
    assert found == [
        f"{deploy}/foo.mar model.name=m model.batch_size=4 model.max_batch_delay=50 model.workers=1",
        f"{deploy}/bar.mar",
    ]


KSERVE = """
inference_address=http://0.0.0.0:8085
management_address=http://0.0.0.0:8085
metrics_address=http://0.0.0.0:8082
grpc_inference_port=7070
grpc_management_port=7071
enable_envvars_config=true
install_py_dep_per_model=true
enable_metrics_api=true
metrics_mode=prometheus
service_envelope=kservev2
number_of_netty_threads=32
job_queue_size=1000
model_store=/mnt/models/model-store
model_snapshot={"name": "startup.cfg", "modelCount": 1, "models": {"mnist": {"1.0": {\\
  "defaultVersion": true, "marName": "mnist.mar", "minWorkers": 1, "maxWorkers": 5, "batchSize": 1}}}}
"""


def test_the_configuration_of_kserves_runtime_is_taken(folder: Path) -> None:
    (folder / "config.properties").write_text(KSERVE)
    found = imported("--name", "kserve")
    assert found["service_envelope"]["verdict"] == "refused"
    assert "a port of its own" in found["management_address"]["reason"]
    # Refuses an address that both APIs share.
    torchserve = load("rollback", SwapSettings, ["torchserve=kserve"]).torchserve
    assert (torchserve.inference_url, torchserve.management_url) == (
        "http://127.0.0.1:8085",
        "http://127.0.0.1:8081",
    )


def test_all_models_of_the_store_and_those_of_a_snapshot(folder: Path) -> None:
    (folder / "model_store").mkdir()
    (folder / "model_store" / "a.mar").touch()
    versions = {"1.0": {"marName": "old.mar"}, "2.0": {"marName": "new.mar", "defaultVersion": True}}
    snapshot = json.dumps({"models": {"m": versions}})
    for content, archive in (
        ("load_models=all", "a.mar"),
        (f"model_snapshot={snapshot}", "new.mar model.name=m"),
    ):
        Path("config.properties").write_text(f"model_store=model_store\n{content}")
        found = json.loads(command("import-config", "config.properties", "--json").stdout)["deploys"]
        assert found == [f"torchserve-gateway deploy archive_source.path={folder}/model_store/{archive}"]


def test_variables_of_the_shell_win_only_where_the_file_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TS_JOB_QUEUE_SIZE", "17")
    monkeypatch.setenv("TS_TOKEN_EXPIRATION_TIME_MIN", "5")
    monkeypatch.setenv("TS_ALLOWED_URLS", "https://models.example/.*")
    assert imported()["job_queue_size"]["value"] == "200"
    (folder / "config.properties").write_text(f"{THEIRS}\nenable_envvars_config=true")
    found = imported()
    assert (found["job_queue_size"]["value"], found["job_queue_size"]["reason"]) == (
        "17",
        "from TS_JOB_QUEUE_SIZE",
    )
    assert found["token_expiration_min"]["value"] == "5"
    assert "allowed_urls" not in found
    with (folder / "config.properties").open("a") as file:
        file.write("\nuse_env_allowed_urls=true")
    assert imported()["allowed_urls"]["value"] == "https://models.example/.*"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("keystore_pass=$$NONE_SUCH$$", "names the environment variable NONE_SUCH, which is not set"),
        ("models={", "models is no JSON"),
        ("key=\\u12", "four hexadecimal digits"),
        ("max_request_size=-1", "max_request_size is '-1'"),
    ],
)
def test_a_file_with_which_nothing_starts_is_refused(folder: Path, content: str, said: str) -> None:
    Path("config.properties").write_text(content)
    result = command("import-config", "config.properties")
    assert result.exit_code != 0
    [line] = result.stderr.splitlines()
    assert said in line


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = command("import-config", f"{tmp_path}/nonesuch")
    assert (result.exit_code, f"{tmp_path}/nonesuch cannot be read" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1\na=2", {"a": "2"}),
        ("  ! comment\n# comment\n\na b", {"a": "b"}),
        ("a : b=c", {"a": "b=c"}),
        ("a\\ b=c\\:d\\u0041", {"a b": "c:dA"}),
        ("a=b\\\n   c\\\\\nd=e", {"a": "bc\\", "d": "e"}),
        ("a", {"a": ""}),
        ("a=b  ", {"a": "b  "}),
    ],
)
def test_a_file_is_read_as_java_does(text: str, expected: dict[str, str]) -> None:
    assert parsed(text) == expected


def constants(content: bytes) -> Iterator[tuple[str, str]]:
    """Names and values of a class's text constants: Java Virtual Machine Specification, chapter 4."""
    sizes = {3: 5, 4: 5, 7: 3, 8: 3, 9: 5, 10: 5, 11: 5, 12: 5, 15: 4, 16: 3, 17: 5, 18: 5}
    texts, strings, at, index = {}, {}, 10, 1
    [count] = struct.unpack_from(">H", content, 8)
    while index < count:
        tag = content[at]
        [number] = struct.unpack_from(">H", content, at + 1)
        if tag == 1:
            texts[index] = content[at + 3 : at + 3 + number].decode(errors="replace")
        elif tag == 8:
            strings[index] = number
        at += 3 + number if tag == 1 else 9 if tag in (5, 6) else sizes[tag]
        index += 2 if tag in (5, 6) else 1
    [interfaces] = struct.unpack_from(">H", content, at + 6)
    at += 8 + 2 * interfaces
    [fields] = struct.unpack_from(">H", content, at)
    at += 2
    for _ in range(fields):
        _, name, _, attributes = struct.unpack_from(">4H", content, at)
        at += 8
        for _ in range(attributes):
            attribute, length = struct.unpack_from(">HI", content, at)
            if texts[attribute] == "ConstantValue":
                [value] = struct.unpack_from(">H", content, at + 6)
                if value in strings:
                    yield texts[name], texts[strings[value]]
            at += 6 + length


def test_all_keys_and_variables_of_the_installed_torchserve_are_known() -> None:
    spec = find_spec("ts")
    assert spec
    assert spec.origin
    with zipfile.ZipFile(Path(spec.origin).parent / "frontend" / "model-server.jar") as jar:
        found = dict(constants(jar.read("org/pytorch/serve/util/ConfigManager.class")))
    # Names of other things: logs, header names, a format, a default.
    keys = {
        name: value
        for name, value in found.items()
        if re.fullmatch("[a-z_]+", value) and not re.match("DEFAULT_|METRIC_FORMAT", name)
    }
    assert keys["TS_JOB_QUEUE_SIZE"] == "job_queue_size"
    assert set(keys.values()) - known_keys.ALL == set()
    assert known_keys.ALL - set(keys.values()) == {"vmargs", "plugins_path", "tsConfigFile"}
    by_variable = {name: value for name, value in keys.items() if name.startswith("TS_")}
    assert by_variable == known_keys.VARIABLES

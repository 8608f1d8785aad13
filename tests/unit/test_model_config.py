"""model-config.yaml: what TorchServe makes of it is known, recorded and said before anything is registered.

Each expectation was read off TorchServe 0.12.0, see tests/system/test_archive_configuration.py.
"""

import json
import logging
import zipfile
from pathlib import Path

import pytest

from tests.shown_blocks import assert_same_words, shown_block
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.deployment.archives.model_config import ModelConfig
from torchserve_gateway.deployment.archives.verification import inspected
from torchserve_gateway.deployment.errors import ArchiveRefusedError
from torchserve_gateway.deployment.parameters import as_torchserve_will_run

ASKED = VERSION.model_copy(update={"startup_timeout": 90})


def archive(directory: Path, content: str | bytes | None) -> Path:
    """With a manifest that names model-config.yaml; content: of that, None leaves it out."""
    file = directory / "genre-1.10.mar"
    model = {"modelName": "genre", "modelVersion": "1.10", "configFile": "model-config.yaml"}
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": model}))
        if content is not None:
            packed.writestr("model-config.yaml", content)
    return file


def config(directory: Path, content: str) -> ModelConfig:
    found = inspected(archive(directory, content), "genre-1.10.mar", "1.10")
    assert found is not None
    return found


def refused(directory: Path, content: str | bytes | None) -> str:
    with pytest.raises(ArchiveRefusedError) as caught:
        inspected(archive(directory, content), "genre-1.10.mar", "1.10")
    said = str(caught.value)
    assert said.startswith("model-config.yaml in genre-1.10.mar")
    assert len(said.splitlines()) == 1
    return said


@pytest.mark.parametrize(
    ("content", "workers", "response_timeout", "startup_timeout"),
    [
        ("minWorkers: 1\nmaxWorkers: 1\nbatchSize: 1\nresponseTimeout: 25\n", 1, 25, 120),
        ("minWorkers: 3\nmaxWorkers: 4\nstartupTimeout: 77\n", 3, 120, 77),
        ("handler:\n  threshold: 1\n", 2, 120, 120),
        ("minWorkers: 3\n", 2, 120, 120),
        ("maxWorkers: 4\n", 2, 120, 120),
        ("minWorkers: 0\nmaxWorkers: 0\nresponseTimeout: 0\n", 2, 120, 120),
        ("minWorkers: 3\nmaxWorkers: 2\n", 2, 120, 120),
    ],
)
def test_what_torchserve_prefers_is_what_will_run(
    tmp_path: Path, content: str, workers: int, response_timeout: int, startup_timeout: int
) -> None:
    runs = config(tmp_path, content).applied_to(ASKED)
    assert (runs.initial_workers, runs.response_timeout, runs.startup_timeout) == (
        workers,
        response_timeout,
        startup_timeout,
    )
    assert (runs.batch_size, runs.max_batch_delay) == (ASKED.batch_size, ASKED.max_batch_delay)


def test_a_conflict_is_said_with_both_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    conflicting = config(tmp_path, "minWorkers: 1\nmaxWorkers: 1\nbatchSize: 1\nresponseTimeout: 25\n")
    as_torchserve_will_run("genre", ASKED, conflicting, deadline_s=20)
    [line] = caplog.messages
    assert line == (
        "genre 1.10: model-config.yaml in genre-1.10.mar: initial_workers is 1, not 2; response_timeout is "
        "25, not 30; startup_timeout is 120, not 90; its batchSize = 1 has no effect, batch_size is 8"
    )


def test_a_conflict_is_said_as_the_page_shows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    conflicting = config(tmp_path, "minWorkers: 1\nmaxWorkers: 1\nbatchSize: 1\nresponseTimeout: 25\n")
    as_torchserve_will_run("genre", VERSION, conflicting, deadline_s=20)
    [line] = caplog.messages
    assert_same_words(f"10:02:11 WARNING {line}", shown_block("docs/deploying.md", "10:02:11 WARNING genre"))


def test_a_file_that_changes_nothing_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    same = config(tmp_path, "responseTimeout: 30\nstartupTimeout: 90\nbatchSize: 8\n")
    assert as_torchserve_will_run("genre", ASKED, same, deadline_s=20) == ASKED
    assert as_torchserve_will_run("genre", ASKED, None, deadline_s=20) == ASKED
    assert caplog.messages == []


def test_the_gateways_deadline_must_be_below_the_real_response_timeout(tmp_path: Path) -> None:
    short = config(tmp_path, "responseTimeout: 5\n")
    with pytest.raises(ArchiveRefusedError, match=r"response_timeout = 5 s, .* gateway\.deadline_s = 20"):
        as_torchserve_will_run("genre", ASKED, short, deadline_s=20)
    with pytest.raises(ArchiveRefusedError, match=r"response_timeout = 30 s, .* gateway\.deadline_s = 30"):
        as_torchserve_will_run("genre", ASKED, None, deadline_s=30)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("clientTimeoutInMills: 300\n", "sets clientTimeoutInMills: TorchServe then drops later answers"),
        ("minWorkers: [1\n", "is no YAML: while parsing a flow sequence"),
        ("a:\n\tb: 1\n", "found character '\\t' that cannot start any token"),
        (b"\xff\xfe\x00", "is no YAML"),
        ("", "is NoneType, not a map"),
        ("- 1\n- 2\n", "is list, not a map"),
        ("responseTimeout: '25'\n", "responseTimeout = '25': Input should be a valid integer"),
        ("batchSize: 2.5\n", "batchSize = 2.5: Input should be a valid integer"),
        ("minWorkers: true\n", "minWorkers = True: Input should be a valid integer"),
        (None, "is missing, but the archive's manifest names it"),
    ],
)
def test_a_file_that_torchserve_would_misread_in_silence_is_refused(
    tmp_path: Path, content: str | bytes | None, said: str
) -> None:
    assert said in refused(tmp_path, content)

"""The record of what is deployed: whole or not at all, one writer, many readers."""

from pathlib import Path

import pytest

from torchserve_gateway.record.errors import RecordError
from torchserve_gateway.record.record import DeployedModel, DeployedVersion, DeploymentRecord, Trial

VERSION = DeployedVersion(
    version="1.10",
    source="genre-1.10.mar",
    archive="genre-1.10.mar",
    sha256="0" * 64,
    batch_size=8,
    max_batch_delay=20,
    initial_workers=2,
    response_timeout=30,
    startup_timeout=120,
)
MODEL = DeployedModel(serving=VERSION)


def test_what_is_written_is_read_and_each_change_is_a_revision(tmp_path: Path) -> None:
    record = DeploymentRecord(tmp_path)
    assert record.read().revision == 0
    assert record.write("genre", MODEL) == 1
    assert record.write("other", MODEL) == 2
    trial = MODEL.model_copy(update={"trial": Trial(kind="canary", version="2.0", share=0.05)})
    assert record.write("genre", trial) == 3
    assert record.read().models == {"genre": trial, "other": MODEL}
    assert [file.name for file in tmp_path.iterdir()] == ["deployed.json"]


def test_writing_the_same_again_is_no_new_revision(tmp_path: Path) -> None:
    record = DeploymentRecord(tmp_path)
    assert record.write("genre", MODEL) == record.write("genre", MODEL) == 1


def test_a_damaged_record_is_an_error_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "deployed.json").write_text('{"models": {"genre": {}}}')
    with pytest.raises(RecordError, match=r"deployed\.json cannot be used"):
        DeploymentRecord(tmp_path).read()


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    record = DeploymentRecord(tmp_path / "file")
    with pytest.raises(RecordError, match="cannot be used"), record.lock():
        pass


def test_the_lock_keeps_a_second_deploy_out_until_the_first_has_ended(tmp_path: Path) -> None:
    with DeploymentRecord(tmp_path).lock():
        second = DeploymentRecord(tmp_path)
        with pytest.raises(RecordError, match="another deploy is running"), second.lock():
            pass
    with second.lock():
        pass

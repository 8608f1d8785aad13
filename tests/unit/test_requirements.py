"""A deploy says whether TorchServe installs the Python packages that an archive needs."""

import json
import logging
import zipfile
from pathlib import Path

import pytest

from tests.composed_settings import load_once
from tests.small_archive import small_archive
from torchserve_gateway.deployment.archives.sources import local_archive
from torchserve_gateway.deployment.plan import upload_plan
from torchserve_gateway.settings.deployment import UploadSettings

SETTING = "torchserve.properties.install_py_dep_per_model"


def archive(directory: Path, requirements: str | None) -> Path:
    file = small_archive(directory, "pets", "")
    if requirements:
        model = {"modelName": "pets", "modelVersion": "1.0", "requirementsFile": requirements}
        with zipfile.ZipFile(file, "w") as content:
            content.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": model}))
            content.writestr(requirements, "humanize")
    return file


@pytest.mark.parametrize(
    ("requirements", "override", "said"),
    [
        ("needs.txt", f"{SETTING}=false", True),
        ("needs.txt", f"~{SETTING}", True),
        ("needs.txt", f"{SETTING}=true", False),
        ("needs.txt", f"{SETTING}='true'", False),
        (None, f"{SETTING}=false", False),
    ],
)
def test_a_deploy_says_that_nothing_is_installed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, requirements: str | None, override: str, said: bool
) -> None:
    settings = load_once("upload", UploadSettings, ["model.name=pets", override])
    with caplog.at_level(logging.WARNING):
        upload_plan(settings, local_archive(settings, archive(tmp_path, requirements), "1.0", None))
    wanted = f"pets 1.0 has {requirements}, and {SETTING} is not true: TorchServe installs nothing"
    assert (wanted in caplog.text) is said

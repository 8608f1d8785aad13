"""docs/migrating.md names settings that there are; tests/system/test_migrating.py runs its commands."""

import re
import shlex

from torchserve_gateway.commands.migration.adopt import AdoptSettings
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.deployment import UploadSettings

PAGE = (PROJECT_ROOT / "docs/migrating.md").read_text()
# The page's own choice of TorchServe, and places that only its reader knows.
THEIRS = re.compile("torchserve=|.*[<…]|.*=$|.*_url$|ARGS=")


def overrides() -> list[str]:
    """Settings in the page's code, one each."""
    words = [word for code in re.findall(r"`([^`\n]+)`", PAGE) if "=" in code for word in shlex.split(code)]
    settings = {word for word in words if re.match(r"[a-z_]+(\.[a-z_]+)*=", word)}
    return sorted(each for each in settings if not THEIRS.match(each))


def test_the_settings_of_the_page_are_settings() -> None:
    of_groups = [each for each in overrides() if "." in each.partition("=")[0]]
    assert "gateway.rate_limit.per_key=600/minute" in of_groups
    assert load(
        "upload", UploadSettings, ["model=foreign", "torchserve.token_authorization=false", *of_groups]
    )


def test_the_pages_switches_of_adopt_are_settings() -> None:
    switches = ["overwrite=true", "idempotent=false"]
    assert set(switches) <= set(overrides())
    assert load("adopt", AdoptSettings, switches).overwrite

"""What the pages show as printed is what their commands print."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http_client import HTTP
from tests.printed_output import assert_printed, shown, table_of_readme
from tests.running_stack import RunningStack, run
from tests.shown_blocks import assert_same_words, shown_block
from torchserve_gateway.commands.stack import status
from torchserve_gateway.settings.composition import PROJECT_ROOT

PAGES = ("README.md", "docs/api.md", "docs/grpc.md", "docs/protocols.md", "docs/security.md")
# The demo of the shared stack is a test of its own; these tests are part of make test.
NOT_RUN = {"make demo", "make test"}


@pytest.fixture
def archive(stack: RunningStack) -> Iterator[None]:
    """The archive of genre 1.0 in the model store, under the name that the pages have."""
    assert stack.built
    file = stack.directory / "model_store" / "genre-1.0.mar"
    if file.exists():
        yield
    else:
        file.write_bytes(stack.built.read_bytes())
        yield
        file.unlink()


def output(command: str, stack: RunningStack, folder: Path) -> str:
    """What a command prints, against this stack instead of that on the default ports."""
    overrides = " ".join([*stack.overrides, f"gateway.auth.keys_file={folder}/api_keys.json"])
    command = command.replace("http://127.0.0.1:5003", stack.settings.gateway.url)
    if command.startswith("make "):
        named = re.sub(r'ARGS="?([^"]*)"?$', rf'ARGS="\1 {overrides}"', command.partition("  #")[0].rstrip())
        named = named if "ARGS=" in named else f'{named} ARGS="{overrides}"'
        command = f"{named} RUN='{sys.executable}' --silent --old-file=install 2>&1"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=PROJECT_ROOT,
        # Without the flags of the make that runs the tests.
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_commands_print_what_their_page_shows(
    page: str, stack: RunningStack, images: list[Path], archive: None, tmp_path: Path
) -> None:
    url = f"{stack.settings.gateway.url}/predictions/genre"
    serving = HTTP.put(url, content=images[0].read_bytes()).headers["x-model-version"]
    commands = [pair for pair in shown(page) if pair.command not in NOT_RUN]
    assert commands
    for command, expected in commands:
        printed = output(command, stack, tmp_path)
        if expected:
            assert_printed(printed, expected.replace('"1.0"', f'"{serving}"'))


def test_the_demo_prints_what_the_readme_shows(stack: RunningStack) -> None:
    readme = (PROJECT_ROOT / "README.md").read_text()
    [urls] = re.findall(r"^Web page: .*?^Stop: .*?\n", readme, re.DOTALL | re.MULTILINE)
    # test_examples.py has the second model.
    mine = "".join(line for line in urls.splitlines(keepends=True) if "imagenet" not in line)
    demo = run("-m", "torchserve_gateway", "demo", *stack.overrides)
    assert demo.returncode == 0, demo.stderr
    shown_here = mine.replace("http://127.0.0.1:5003", stack.settings.gateway.url)
    assert_printed(demo.stdout, table_of_readme("genre") + shown_here)


def test_the_parts_are_shown_as_the_readme_shows(
    stack: RunningStack, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown_block("README.md", "$ make demo").splitlines()
    assert status(stack.settings, ()) == 0
    assert_same_words(capsys.readouterr().out, "\n".join(line for line in lines if " RUNNING " in line))

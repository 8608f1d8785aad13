"""docs/walkthrough.md as a reader follows it: in a checkout and on ports of the reader's own."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.free_ports import free_ports
from tests.printed_output import Shown, assert_printed, blocks, commands_of
from torchserve_gateway.settings.composition import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs" / "walkthrough.md").read_text()
PREPARED, SERVED, DEPLOYED, LIMITED, IN_CONTAINERS, ON_KUBERNETES = (
    "From a file to Kubernetes",
    "Serve it",
    "Deploy a second version, go back",
    "A key and limits",
    "In containers",
    "On Kubernetes",
)
# What a new checkout lacks, and what would only take time to copy.
ABSENT = (
    ".git",
    ".venv*",
    "var",
    "*.mar",
    "*.mar.sha256",
    "*.pth",
    "__pycache__",
    ".*_cache",
    "secrets",
    ".env",
)
ENVIRONMENT = ("bin", "lib", "pyvenv.cfg", ".installed", ".installed-dev")
HEREDOC = re.compile(r"<<'?(\w+)'?$")


def lines(title: str) -> list[Shown]:
    """The commands of a section, in their order."""
    text = re.split(r"^#+ ", PAGE, flags=re.MULTILINE)
    [section] = [each for each in text if each.startswith(f"{title}\n")]
    return [line for block in blocks(section) for line in commands_of(block) or plain_commands(block)]


def plain_commands(block: str) -> list[Shown]:
    """The commands of a block that shows no output."""
    found, begun = [], ""
    for line in block.splitlines():
        begun += f"{line}\n"
        heredoc = HEREDOC.search(begun.splitlines()[0])
        if not line.endswith("\\") and (not heredoc or line == heredoc[1]):
            found.append(Shown(begun, ""))
            begun = ""
    assert not begun, f"{begun} has no end"
    return found


@dataclass(frozen=True)
class Reader:
    """A copy of the checkout, and ports of its own."""

    checkout: Path
    environment: dict[str, str] = field(default_factory=dict)
    """Variables of the reader's shell."""
    ports: dict[str, str] = field(
        default_factory=lambda: dict(
            zip(("5003", "8080", "8081", "8082", "7070", "7071"), map(str, free_ports(6)), strict=True)
        )
    )
    """The reader's ports in the place of the page's and the settings'."""

    @property
    def gateway_port(self) -> str:
        return self.ports["5003"]

    def clones(self) -> None:
        """Copies the checkout, its environment included, which lacks nothing."""
        shutil.copytree(PROJECT_ROOT, self.checkout, symlinks=True, ignore=shutil.ignore_patterns(*ABSENT))
        own = self.checkout / ".venv"
        own.mkdir()
        for name in ENVIRONMENT:
            there = PROJECT_ROOT / ".venv" / name
            if name.startswith("."):
                (own / name).touch()
            else:
                (own / name).symlink_to(there.resolve())

    def takes_ports(self) -> None:
        """Puts the reader's ports into the settings of the stack on this machine."""
        for file in ("gateway/local.yaml", "torchserve/local.yaml"):
            settings = self.checkout / "config" / file
            settings.write_text(self.on_own_ports(settings.read_text()))

    def on_own_ports(self, text: str) -> str:
        return re.sub(r"\b(5003|808[012]|707[01])\b", lambda port: self.ports[port[1]], text)

    def types(self, line: Shown) -> None:
        """Runs a line in bash; it must succeed and print what the page shows."""
        command = self.on_own_ports(line.command)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.checkout,
            # Without the flags of the make that runs the tests.
            env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
            | self.environment,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if line.output:
            assert_printed(done.stdout, self.on_own_ports(line.output))

    def follows(self, *titles: str) -> None:
        """Types all lines of these sections."""
        for title in titles:
            for line in lines(title):
                self.types(line)

"""`torchserve` and `torch-model-archiver` as the environment has them, called from a shell."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.free_ports import free_ports
from tests.http_client import HTTP
from tests.processes import until
from torchserve_gateway.commands.torchserve import provide_kill
from torchserve_gateway.settings.composition import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs/tutorials.md").read_text()
[ENVIRONMENT] = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)


@dataclass(frozen=True)
class Shell:
    """A shell in a folder, after the page's lines about the environment."""

    folder: Path
    ports: list[int] = field(default_factory=lambda: free_ports(6))

    @property
    def inference(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def management(self) -> str:
        return f"http://127.0.0.1:{self.ports[1]}"

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.ports[5]}"

    @property
    def environment(self) -> dict[str, str]:
        temp = self.folder / "tmp"
        temp.mkdir(exist_ok=True)
        path = f"{os.environ['PATH']}:{provide_kill(self.folder / 'bin')}"
        own = {"TMPDIR": str(temp), "TEMP": str(temp), "OMP_NUM_THREADS": "1", "PATH": path}
        return {**os.environ, **own, "PYTHONPATH": f"{PROJECT_ROOT}:{PROJECT_ROOT}/clients/python"}

    def command(self, line: str) -> list[str]:
        lines = ENVIRONMENT.replace(". .venv", f". {PROJECT_ROOT}/.venv")
        return ["bash", "-euc", f"{lines}\n{line}"]

    def run(self, line: str) -> str:
        """Returns what the line printed; it must succeed."""
        with (self.folder / "errors.log").open("w+") as errors:
            done = subprocess.run(
                self.command(line),
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=300,
                check=False,
            )
            errors.seek(0)
            assert done.returncode == 0, line + done.stdout + errors.read()
        return done.stdout

    def configure(self, *, one_address: bool = False, more: str = "") -> None:
        """Writes config.properties."""
        management = self.inference if one_address else self.management
        (self.folder / "config.properties").write_text(
            f"inference_address={self.inference}\n"
            f"management_address={management}\n"
            f"metrics_address=http://127.0.0.1:{self.ports[2]}\n"
            f"grpc_inference_port={self.ports[3]}\n"
            f"grpc_management_port={self.ports[4]}\n"
            f"disable_token_authorization=true\nenable_model_api=true\n{more}"
        )

    @contextmanager
    def started(self, line: str, model: str, *, management: str) -> Iterator[None]:
        """`torchserve --start` in the background; the model is READY within the block."""
        self.run(f"{line} >torchserve.log 2>&1")
        try:
            self.wait_for(model, management)
            yield
        finally:
            self.run("torchserve --stop --foreground")

    @staticmethod
    def wait_for(model: str, management: str) -> None:
        """Returns when a worker of the model is READY."""
        until(lambda: is_ready(f"{management}/models/{model}"))


def is_ready(url: str) -> bool:
    try:
        described = HTTP.get(url).json()
    except (httpx.HTTPError, ValueError):
        return False
    return isinstance(described, list) and any(each["status"] == "READY" for each in described[0]["workers"])

"""Runs a gateway and a stand-in for TorchServe, each in a process of its own."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.bench.hostile_clients.child_process import ChildProcess, child_process
from tools.bench.hostile_clients.gateway_process import RunningGateway, gateway_process
from torchserve_gateway.local_stack.free_ports import free_ports

POLL_S = 0.02
# Short for slow attacks, but long enough for bodies of 6 MB on busy cores.
TIME_OUTS = ("gateway.head_timeout_s=2", "gateway.body_timeout_s=5", "gateway.shutdown_delay_s=0")


@dataclass
class StandIn:
    """A running `torchserve.py`."""

    child: ChildProcess
    port: int
    marks: int = 0

    def kill(self) -> None:
        """Ends the stand-in; its ports then refuse connections."""
        self.child.kill()

    async def request_lines(self) -> list[str]:
        """Method and target of all requests so far."""
        self.marks += 1
        mark = f"/mark-{self.marks}"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {mark} HTTP/1.1\r\n\r\n".encode())
        await reader.read()
        writer.close()
        # Lines printed before the answer may still be in the pipe.
        while f"GET {mark}" not in self.child.lines:  # noqa: ASYNC110 - a thread reads the lines
            await asyncio.sleep(POLL_S)
        return [line for line in self.child.lines if "/mark-" not in line]


@contextlib.contextmanager
def gateway_before_stand_in(directory: Path, *overrides: str) -> Iterator[tuple[RunningGateway, StandIn]]:
    """Starts both; ready when this yields. directory: for the log and the state."""
    gateway, inference, management = free_ports(3)
    with child_process("tools.bench.hostile_clients.torchserve", str(inference), str(management)) as child:
        settings = (
            f"gateway.port={gateway}",
            f"torchserve.inference_url=http://127.0.0.1:{inference}",
            f"torchserve.management_url=http://127.0.0.1:{management}",
            f"torchserve.metrics_url=http://127.0.0.1:{management}",
            f"torchserve.deployments_dir={directory}/deployments",
        )
        everything = (*settings, *TIME_OUTS, "gateway.processes=1", *overrides)
        url, log = f"http://127.0.0.1:{gateway}", directory / "gateway.log"
        with gateway_process(url, everything, log) as running:
            yield running, StandIn(child, inference)

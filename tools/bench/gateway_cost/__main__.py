"""Measures the gateway in front of an upstream that answers at once.

Every row gets the same clients in rounds that alternate. CPU time is the server's own, all of its processes
together, so clients and upstream on the same cores do not count.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

import httpx

from tools.bench.gateway_cost.instant_torchserve import BODY
from tools.bench.gateway_cost.load import Load, answers
from torchserve_gateway.local_stack.free_ports import free_ports
from torchserve_gateway.record.record import DeployedModel, DeployedVersion, DeploymentRecord
from torchserve_gateway.settings.composition import PROJECT_ROOT

CLIENTS = 16
ROUNDS = 5
ROUND_S = 2.0
WARM_UP_S = 1.0
START_S = 30.0
IMAGE = PROJECT_ROOT / "imgs/drama.jpg"
RAW, FORM, TWO = "gateway, raw image", "gateway, form", "2 processes, raw image"
PROXY, WITH_NGINX = "20-line proxy, form", "nginx, raw image"
# FastAPI writes JSON without spaces.
COMPACT_BODY = json.dumps(json.loads(BODY), separators=(",", ":")).encode()
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr crit;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  upstream torchserve {{ server 127.0.0.1:{upstream}; keepalive 32; }}
  server {{
    listen 127.0.0.1:{port}; client_max_body_size 10m; client_body_buffer_size 1m;
    keepalive_requests 10000000;
    location / {{ proxy_pass http://torchserve; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


@dataclass
class Row:
    """A server under test."""

    name: str
    process: subprocess.Popen[bytes]
    load: Load
    rates: list[float] = field(default_factory=list)
    """Requests a second, by round."""
    cpu_ms: list[float] = field(default_factory=list)
    """CPU milliseconds of a request, by round."""

    def measure(self) -> None:
        """Runs one round."""
        before = self._cpu_s()
        answered = answers(self.load, CLIENTS, ROUND_S)
        self.rates.append(answered / ROUND_S)
        self.cpu_ms.append((self._cpu_s() - before) / answered * 1000)

    def _cpu_s(self) -> float:
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(_cpu_s_of(each) for each in (str(pid), *children))


def _cpu_s_of(pid: str) -> float:
    # proc(5): user and system time are the 12th and 13th field after the program's name.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Servers:
    """Starts servers and stops them at the end."""

    def __init__(self, cleanup: ExitStack, folder: Path) -> None:
        self._cleanup = cleanup
        self._folder = folder

    def start(self, port: int, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Starts a server and returns when it accepts connections."""
        log = self._cleanup.enter_context((self._folder / f"{port}.log").open("wb"))
        process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, stdout=log, stderr=log, env=os.environ | environment
        )
        self._cleanup.callback(process.wait)
        self._cleanup.callback(process.terminate)
        give_up = monotonic() + START_S
        while monotonic() < give_up and process.poll() is None:
            try:
                httpx.get(f"http://127.0.0.1:{port}/")
            except httpx.TransportError:
                sleep(0.05)
            else:
                return process
        raise RuntimeError(f"{command} does not start: {Path(log.name).read_text()[-2000:]}")


def head(path: str, content_type: str, length: int) -> bytes:
    """A request's head, with the headers of an ordinary client."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def requests() -> tuple[bytes, bytes]:
    """The same image as it is, and in a form."""
    image = IMAGE.read_bytes()
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + image + b"\r\n--b--\r\n"
    )
    raw = head("/predictions/genre", "image/jpeg", len(image)) + image
    return raw, head("/predict", "multipart/form-data; boundary=b", len(form)) + form


def gateway(
    servers: Servers, folder: Path, upstream: int, port: int, processes: int, options: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Starts the gateway with its default configuration and a version on record.

    options: of the interpreter.
    """
    version = DeployedVersion(
        version="1.0", source="genre-1.0.mar", archive="genre-1.0.mar", sha256="0" * 64,
        batch_size=8, max_batch_delay=20, initial_workers=4, response_timeout=30, startup_timeout=60,
    )  # fmt: skip
    DeploymentRecord(folder).write("genre", DeployedModel(serving=version))
    return servers.start(
        port,
        *(sys.executable, *options, "app.py", f"gateway.port={port}", f"torchserve.deployments_dir={folder}"),
        f"gateway.processes={processes}",
        f"torchserve.inference_url=http://127.0.0.1:{upstream}",
        "torchserve.management_url=http://127.0.0.1:1",
    )


def rows(servers: Servers, folder: Path) -> list[Row]:
    """Starts all servers."""
    upstream, ours, two, small, nginx = free_ports(5)
    raw, form = requests()
    servers.start(
        upstream, sys.executable, "-m", "tools.bench.gateway_cost.instant_torchserve", str(upstream)
    )
    process = gateway(servers, folder, upstream, ours, processes=1)
    found = [
        Row(RAW, process, Load(ours, raw, BODY)),
        Row(FORM, process, Load(ours, form, BODY)),
    ]
    process = gateway(servers, folder, upstream, two, processes=2)
    found.append(Row(TWO, process, Load(two, raw, BODY)))
    command = (sys.executable, "-m", "uvicorn", "--no-access-log", "--port", str(small))
    url = f"http://127.0.0.1:{upstream}"
    process = servers.start(small, *command, "tools.bench.gateway_cost.small_proxy:app", TORCHSERVE=url)
    found.append(Row(PROXY, process, Load(small, form, COMPACT_BODY)))
    return [*found, *nginx_row(servers, folder, upstream, nginx, raw)]


def nginx_row(servers: Servers, folder: Path, upstream: int, port: int, raw: bytes) -> Sequence[Row]:
    """A row of nginx, which only passes bytes on; none where it is not installed."""
    program = next(
        (each for each in (Path("/usr/sbin/nginx"), Path("/usr/bin/nginx")) if each.exists()), None
    )
    if program is None:
        print("nginx is not installed: no row for it")
        return []
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, upstream=upstream, port=port))
    process = servers.start(port, str(program), "-c", str(configuration))
    return [Row(WITH_NGINX, process, Load(port, raw, BODY))]


def heading() -> str:
    """The first two lines of the table."""
    columns = f"{'requests/s':>12}{'CPU ms a request':>18}{'requests/s of CPU':>19}{'CPU / proxy':>13}"
    return f"{CLIENTS} clients, {IMAGE.name}, median of {ROUNDS} rounds\n{'':<24}{columns}"


def line(name: str, rate: float, cpu_ms: float, ratio: float) -> str:
    """A row of the table."""
    return f"{name:<24}{rate:>12.0f}{cpu_ms:>18.3f}{1000 / cpu_ms:>19.0f}{ratio:>13.2f}"


def main() -> None:
    """Prints the table."""
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        measured = rows(Servers(cleanup, folder), folder)
        for row in measured:
            answers(row.load, CLIENTS, WARM_UP_S)
        for _ in range(ROUNDS):
            for row in measured:
                row.measure()
    proxy = next(row for row in measured if row.name == PROXY)
    print(heading())
    for row in measured:
        cpu_ms = statistics.median(row.cpu_ms)
        ratio = statistics.median(a / b for a, b in zip(row.cpu_ms, proxy.cpu_ms, strict=True))
        print(line(row.name, statistics.median(row.rates), cpu_ms, ratio))


if __name__ == "__main__":
    main()

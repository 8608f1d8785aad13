"""`make profile_gateway`: where the CPU time of a request goes in the gateway, before an instant upstream.

Two gateways get the same load: one tells its CPU time, the other runs under cProfile, which makes calls
dearer than they are. Shares are of Python's time: the event loop, which also waits, is not among them.
"""

import os
import pstats
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tools.bench.gateway_cost.__main__ import CLIENTS, WARM_UP_S, Servers, gateway, requests
from tools.bench.gateway_cost.instant_torchserve import BODY
from tools.bench.gateway_cost.load import Load, answers
from torchserve_gateway.local_stack.free_ports import free_ports

SECONDS = 8.0
GATEWAY = "torchserve_gateway/gateway/"
# The first that is in a file's path; all others are "other".
PARTS = {
    "client's HTTP: uvicorn, http1/": ("uvicorn/", f"{GATEWAY}http1/"),
    "metrics": ("prometheus_client/", f"{GATEWAY}telemetry/metrics"),
    "log line, request id, context": ("structlog/", "opentelemetry/", f"{GATEWAY}telemetry/"),
    "body, headers, image check: intake/": (f"{GATEWAY}intake/", f"{GATEWAY}headers", "ts_serialize/"),
    "admission, stages: prediction/": (f"{GATEWAY}prediction/", f"{GATEWAY}deployed/", "record/"),
    "call of TorchServe: torchserve_api/": ("torchserve_gateway/torchserve_api/",),
    "Starlette, FastAPI, direct_routes": ("starlette/", "fastapi", GATEWAY),
    "asyncio: tasks, time-outs": ("/asyncio/",),
}
LOOP = "event loop, waiting included"

Function = tuple[str, int, str]
"""File, line and name; a built-in has no file."""


def part_of(function: Function) -> str:
    """The part of the gateway that a function belongs to."""
    path, _, name = function
    if "/asyncio/" in path and name in ("run", "run_until_complete"):
        return LOOP
    found = (part for part, places in PARTS.items() if any(place in path for place in places))
    return next(found, "other")


def seconds_by_part(profile: Path) -> Counter[str]:
    """Own time of all functions; a built-in's belongs to its callers."""
    # pstats declares no attribute that has the numbers.
    stats = vars(pstats.Stats(str(profile)))["stats"]
    seconds: Counter[str] = Counter()
    for function, (_, _, own_s, _, callers) in stats.items():
        if function[0] != "~" or not callers:
            seconds[part_of(function)] += own_s
        else:
            for caller, (_, _, callers_s, _) in callers.items():
                seconds[part_of(caller)] += callers_s
    return seconds


def cpu_s(pid: int) -> tuple[float, float]:
    """CPU seconds of a process: its own code, and the kernel for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / tick, int(fields[12]) / tick


def table(name: str, user_ms: float, system_ms: float, seconds: Counter[str]) -> str:
    """CPU milliseconds of a request, then each part's share."""
    total = sum(own_s for part, own_s in seconds.items() if part != LOOP)
    shares = [f"  {part:<40}{own_s / total:>6.1%}" for part, own_s in seconds.most_common() if part != LOOP]
    first = f"{name}: {user_ms + system_ms:.3f} ms CPU a request, {system_ms:.3f} ms of it in the kernel"
    return "\n".join([first, *shares])


def main() -> None:
    """Prints both tables, for an image as it is and in a form."""
    print(f"{CLIENTS} clients, {SECONDS:g} s each, {sys.platform}, Python {sys.version.split()[0]}")
    raw, form = requests()
    for name, request in {"raw image": raw, "form": form}.items():
        with ExitStack() as cleanup:
            folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
            servers, (upstream, plain, profiled) = Servers(cleanup, folder), free_ports(3)
            servers.start(
                upstream, sys.executable, "-m", "tools.bench.gateway_cost.instant_torchserve", str(upstream)
            )
            process = gateway(servers, folder, upstream, plain, processes=1)
            answers(Load(plain, request, BODY), CLIENTS, WARM_UP_S)
            before, answered = cpu_s(process.pid), answers(Load(plain, request, BODY), CLIENTS, SECONDS)
            user, system = (
                1000 * (b - a) / answered for a, b in zip(before, cpu_s(process.pid), strict=True)
            )
            options = "-m", "cProfile", "-o", str(folder / "profile")
            process = gateway(servers, folder, upstream, profiled, 1, options)
            answered = answers(Load(profiled, request, BODY), CLIENTS, SECONDS)
            process.terminate()
            process.wait()
            seconds = seconds_by_part(folder / "profile")
        print(f"\n{table(name, user, system, seconds)}")


if __name__ == "__main__":
    main()

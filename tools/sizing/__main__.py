"""`make scaling`: extrapolates measurements on this machine to many replicas.

Exit codes: 0 done; 1 the stack could not be measured; 2 bad configuration.
"""

import asyncio
import sys

import aiohttp
import numpy as np

from tools.sizing.measurement import CLIENTS, Measurement, Saturated, percentiles_ms
from tools.sizing.settings import ScalingSettings
from tools.sizing.simulation import Floats, Plan, ServiceTimes, simulate
from tools.sizing.sizes import sizes_for
from tools.throwaway_stack import StackCommandError, ThrowawayStack, throwaway_stack
from torchserve_gateway.settings.command import run

CALIBRATION_LOAD = 0.5
PERCENTILES = "p50    p95    p99"
COMPARISON = f"\nmeasured and simulated ms   {PERCENTILES}   |   {PERCENTILES}   error"


def scaling(settings: ScalingSettings) -> int:
    """Measures a stack of its own, then simulates.

    Raises:
        StackCommandError: the stack does not start.
        RuntimeError: a request was not answered.
    """
    with throwaway_stack("model.workers=1", "gateway.log_format=json") as stack:
        stack.deploy("1.0")
        saturated, times = asyncio.run(measure(stack, settings))
    predict(settings, saturated, times)
    return 0


async def measure(stack: ThrowawayStack, settings: ScalingSettings) -> tuple[Saturated, ServiceTimes]:
    """Prints service times, then measured beside simulated latencies."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        measurement = Measurement(stack, http, settings.model)
        await measurement.saturated()
        saturated = await measurement.saturated()
        times = await measurement.service_times(saturated, CALIBRATION_LOAD)
        show_measured(saturated, times)
        plan = _plan(settings, replicas=1, workers=1, gateways=1)
        print(COMPARISON)
        errors = []
        for load in settings.loads:
            rate = load * saturated.rate
            measured = percentiles_ms(await measurement.latencies(rate, settings.load_s))
            simulated = percentiles_ms(simulate(plan, times, rate, settings.simulated_requests))
            errors.append(np.abs(simulated / measured - 1))
            print(compared(rate, load, measured, simulated), flush=True)
    print(mean_error(np.array(errors)))
    return saturated, times


def compared(rate: float, load: float, measured: Floats, simulated: Floats) -> str:
    """Percentiles at a rate, measured beside simulated; load: the rate's share of the saturated rate."""
    error = np.abs(simulated / measured - 1).mean()
    return f"{rate:8.1f} images/s ({load:.0%}) {_row(measured)}   | {_row(simulated)}   {error:.0%}"


def mean_error(errors: Floats) -> str:
    """Means over the rates, a row each, by percentile."""
    means = zip(PERCENTILES.split(), errors.mean(axis=0), strict=True)
    return "mean error: " + ", ".join(f"{name} {error:.0%}" for name, error in means)


def show_measured(saturated: Saturated, times: ServiceTimes) -> None:
    """Prints the cost of a request."""
    print(f"one worker, {CLIENTS} closed-loop clients: {saturated.rate:.1f} images/s")
    for part, cpu_s in {**saturated.cpu_s, "together": sum(saturated.cpu_s.values())}.items():
        print(
            f"  {part:12}{cpu_s * 1000:6.2f} ms of a core for an image: {1 / cpu_s:7.1f} images/s of a core"
        )
    batches = ", ".join(f"{size}: {seconds * 1000:.1f}" for size, seconds in enumerate(times.batch_s, 1))
    print(f"time of a worker for a batch, ms by size: {batches}")
    print(f"everything else of a lone request, ms: {times.path_s * 1000:.1f}")


def predict(settings: ScalingSettings, saturated: Saturated, times: ServiceTimes) -> None:
    """Prints predicted latencies of more replicas, and the sizes for the target rate."""
    workers = settings.workers_per_replica
    print(f"\npredicted, {workers} workers a replica, {settings.utilisation:.0%} busy   {PERCENTILES}   (ms)")
    for replicas in settings.replicas:
        rate = settings.utilisation * saturated.rate * workers * replicas
        gateways = int(np.ceil(rate * times.gateway_s / settings.utilisation))
        plan = _plan(settings, replicas, workers, gateways)
        row = _row(percentiles_ms(simulate(plan, times, rate, settings.simulated_requests)))
        print(f"{replicas:4} replicas, {gateways:3} gateways, {rate:8.1f} images/s {row}")
    sizes = sizes_for(
        settings.target_rate,
        saturated.rate,
        saturated.cpu_s,
        settings.utilisation,
        workers,
        settings.price_per_core_hour,
    )
    print(
        f"\n{settings.target_rate:g} images/s, {settings.utilisation:.0%} busy: {sizes.workers} workers in "
        f"{sizes.replicas} replicas, {sizes.gateways} gateways, {sizes.cores:.0f} cores in all"
    )
    print(f"a million images: {sizes.cost:.3f} at {settings.price_per_core_hour:g} for a core and hour")


def _plan(settings: ScalingSettings, replicas: int, workers: int, gateways: int) -> Plan:
    model = settings.model
    return Plan(replicas, workers, model.batch_size, model.max_batch_delay / 1000, gateways)


def _row(percentiles: Floats) -> str:
    return " ".join(f"{each:6.1f}" for each in percentiles)


if __name__ == "__main__":
    sys.exit(run("scaling", ScalingSettings, scaling, (StackCommandError, RuntimeError, aiohttp.ClientError)))

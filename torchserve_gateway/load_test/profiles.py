"""Due times of open-loop requests, in seconds after the start."""

import itertools
import math
from collections.abc import Iterator, Sequence

from torchserve_gateway.settings.load_test import StressSettings


def due_times_s(settings: StressSettings) -> Iterator[float] | None:
    """The configured times; None: closed loop."""
    if settings.rate:
        return constant(settings.rate)
    if settings.ramp:
        return ramp(settings.ramp.start, settings.ramp.end, settings.rounds * settings.round_s)
    return steps(settings.steps, settings.round_s) if settings.steps else None


def described(settings: StressSettings) -> str:
    """`10 to 200 requests/s, 64 clients`."""
    load = "closed loop"
    if settings.rate:
        load = f"{settings.rate:g} requests/s"
    elif settings.ramp:
        load = f"{settings.ramp.start:g} to {settings.ramp.end:g} requests/s"
    elif settings.steps:
        load = f"{', '.join(f'{rate:g}' for rate in settings.steps)} requests/s"
    return f"{load}, {settings.clients} clients"


def constant(rate: float) -> Iterator[float]:
    """`rate` requests a second without end."""
    return (number / rate for number in itertools.count())


def ramp(start: float, end: float, duration_s: float) -> Iterator[float]:
    """A rate that grows or falls evenly from `start` to `end` requests a second."""
    slope = (end - start) / duration_s
    for number in range(math.ceil((start + end) / 2 * duration_s)):
        # Solves start * t + slope * t² / 2 = number, in the form that holds for slope 0 too.
        root = math.sqrt(max(start * start + 2 * slope * number, 0.0))
        yield 2 * number / (start + root) if number else 0.0


def steps(rates: Sequence[float], each_s: float) -> Iterator[float]:
    """One rate after another, each for `each_s` seconds."""
    for index, rate in enumerate(rates):
        for number in range(math.ceil(rate * each_s)):
            yield index * each_s + number / rate

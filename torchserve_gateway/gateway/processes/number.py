"""The number of processes of a gateway."""

import math
import os
from pathlib import Path

from torchserve_gateway.settings.project import ProjectSettings

# The gateway takes at most a quarter of the machine from models that are as small as the demo model.
CORES_FOR_A_PROCESS = 4
# The fastest workers, on GPUs, answer about as many requests as so many processes pass on.
PROCESSES_FOR_A_WORKER = 4
CGROUP = Path("/sys/fs/cgroup")


def number_of_processes(settings: ProjectSettings, cores: float) -> int:
    """`gateway.processes`, or by the cores and the models' workers: docs/scaling.md has the reasons."""
    if settings.gateway.processes is not None:
        return settings.gateway.processes
    workers = sum(model.workers or math.ceil(cores) for model in settings.models.values())
    return max(1, min(math.ceil(cores / CORES_FOR_A_PROCESS), PROCESSES_FOR_A_WORKER * workers))


def usable_cores(cgroup: Path = CGROUP) -> float:
    """Cores that this process may use: those of its affinity, or its container's share of time."""
    cores = float(len(os.sched_getaffinity(0)))
    for quota, period in _shares_of_time(cgroup):
        cores = min(cores, quota / period)
    return cores


def _shares_of_time(cgroup: Path) -> list[tuple[int, int]]:
    try:
        words = (cgroup / "cpu.max").read_text().split()
    except OSError:
        words = []
    return [(int(words[0]), int(words[1]))] if len(words) == 2 and words[0].isdigit() else []

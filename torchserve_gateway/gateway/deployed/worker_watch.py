"""Versions that TorchServe lists while none of their workers is READY.

TorchServe queues requests for a version whose workers load, and answers when they have loaded. The gateway
looks when a request is not answered soon, and asks nothing otherwise.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from torchserve_gateway.gateway.errors import NotReadyError
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.torchserve_api.connection import TorchServe, replicas
from torchserve_gateway.torchserve_api.errors import TorchServeError

Version = tuple[str, str | None]
"""Model and version; None for the default version."""

# Seconds without an answer before the gateway looks: for a version that has not answered yet, and for others,
# whose worker may have crashed. TorchServe has a crashed worker back in about 2 s and answers then.
FIRST_LOOK_AFTER_S = 0.1
LOOK_AFTER_S = 3.0
# Age of a look in seconds at which the next request causes another.
LOOK_AGAIN_S = 0.5
MAX_REMEMBERED = 1000


@dataclass(frozen=True)
class Workers:
    """Asks every TorchServe for the workers of a version."""

    settings: ProjectSettings
    torchserve: TorchServe

    async def are_loading(self, model: str, version: str | None) -> bool:
        """Whether the version has workers on some TorchServe, and none that is known to be READY on any."""
        found = await replicas(self.settings.torchserve, self.torchserve.http)
        loading = await asyncio.gather(*(self._are_loading_on(each, model, version) for each in found))
        return True in loading and False not in loading

    async def _are_loading_on(self, replica: TorchServe, model: str, version: str | None) -> bool | None:
        """None: not known, or it has no workers at all, for which TorchServe has an answer of its own."""
        timeout_s = self.settings.gateway.health_timeout_s
        try:
            described = (await replica.management.describe(model, version, timeout_s))[0]
        except TorchServeError:
            return None
        if described.ready_workers:
            return False
        return True if described.min_workers else None


class WorkerWatch:
    """Remembers which versions load.

    Args:
        are_loading: asks TorchServe.
    """

    def __init__(self, are_loading: Callable[[str, str | None], Awaitable[bool]]) -> None:
        self._are_loading = are_loading
        self._answered: set[Version] = set()
        self.loading: set[Version] = set()
        """Versions that loaded at the last look."""
        self._looked_at: dict[Version, float] = {}
        self._looks: dict[Version, asyncio.Task[None]] = {}
        self._waiting: dict[Version, dict[asyncio.Timeout, float]] = {}
        # One a version: one a request would cost more than the rest of the stage.
        self._timers: dict[Version, asyncio.TimerHandle] = {}

    async def refuse_unless_loaded(self, version: Version) -> None:
        """For a version that loaded at the last look: looks again if that is long ago.

        Raises:
            NotReadyError: the version's workers load.
        """
        if self._is_due(version):
            # Unlike an await of the task, a cancelled request does not cancel it.
            await asyncio.wait((self._look(version),))
        if version in self.loading:
            raise self.refusal(version)

    def begins(self, version: Version, timeout: asyncio.Timeout) -> None:
        """Notes a request for the version, whose timeout ends as soon as the version turns out to load."""
        waiting = self._waiting.get(version)
        if waiting is None:
            waiting = self._waiting[version] = {}
            self._check_later(version, self._patience_s(version))
        waiting[timeout] = monotonic()

    def ends(self, version: Version, timeout: asyncio.Timeout) -> None:
        """Notes that a request has ended; one that never began is none to end."""
        self._waiting.get(version, {}).pop(timeout, None)

    def answered(self, version: Version) -> None:
        """Notes that the version has a worker."""
        self._answered.add(version)

    def disconnected(self) -> None:
        """Notes that TorchServe went away: when it is back, all versions load."""
        if self._answered:
            self._answered.clear()
            for version in self._waiting:
                self._timers[version].cancel()
                self._check_later(version, FIRST_LOOK_AFTER_S)

    def refusal(self, version: Version) -> NotReadyError:
        """The error of a request for a version that loads."""
        name = " ".join(filter(None, version))
        return NotReadyError(
            f"{name} is loading: none of its workers is READY yet; ask again in a few seconds"
        )

    def _is_due(self, version: Version) -> bool:
        return monotonic() - self._looked_at.get(version, -LOOK_AGAIN_S) >= LOOK_AGAIN_S

    def _patience_s(self, version: Version) -> float:
        return LOOK_AFTER_S if version in self._answered else FIRST_LOOK_AFTER_S

    def _check_later(self, version: Version, delay_s: float) -> None:
        timer = asyncio.get_running_loop().call_later(delay_s, self._check, version)
        self._timers[version] = timer

    def _check(self, version: Version) -> None:
        """Looks if the oldest request has waited for long."""
        waiting = self._waiting[version]
        if not waiting:
            del self._waiting[version], self._timers[version]
            return
        patience_s = self._patience_s(version)
        left_s = next(iter(waiting.values())) + patience_s - monotonic()
        if left_s > 0:
            self._check_later(version, left_s)
            return
        if self._is_due(version):
            self._look(version)
        self._check_later(version, max(patience_s, LOOK_AGAIN_S))

    def _look(self, version: Version) -> asyncio.Task[None]:
        """One look for all requests of the version."""
        if version not in self._looks:
            self._looks[version] = asyncio.create_task(self._looked(version))
        return self._looks[version]

    async def _looked(self, version: Version) -> None:
        try:
            loading = await self._are_loading(*version)
        finally:
            del self._looks[version]
        if len(self._looked_at) >= MAX_REMEMBERED:
            self._looked_at.clear()
        self._looked_at[version] = monotonic()
        if not loading:
            self.loading.discard(version)
            return
        self.loading.add(version)
        for timeout in self._waiting.get(version, ()):
            timeout.reschedule(0)

"""Jobs that TorchServe has: it runs each to its end, whether or not a client still waits for the answer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from torchserve_gateway.torchserve_api.errors import DeadlineExceededError
from torchserve_gateway.torchserve_api.inference import Prediction


class RunningJobs:
    """Keeps a job's slot and counts until TorchServe has answered it.

    A client that leaves, or asks for a short deadline, would otherwise free its slot while its job still
    runs: one client could fill TorchServe's queue past all admission.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Prediction]] = set()

    async def run(
        self, job: Coroutine[Any, Any, Prediction], ended: Callable[[], None], deadline_s: float
    ) -> Prediction:
        """Waits for the answer of a job; `ended` is called when the job has ended, however late.

        Raises:
            DeadlineExceededError: no answer within deadline_s.
            TorchServeError: whatever the job raises.
        """
        task = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        task.add_done_callback(lambda _: ended())
        try:
            async with asyncio.timeout(deadline_s):
                return await asyncio.shield(task)
        except TimeoutError as exc:
            raise DeadlineExceededError(f"TorchServe did not answer within {deadline_s:.3g} s") from exc
        finally:
            # An exception of the task has this frame in its traceback: a cycle would keep the body.
            del task

    async def close(self) -> None:
        """Gives up the jobs that no client waits for any more."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[Prediction]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # The client may have left: then its failure is not told as "never retrieved".
            task.exception()

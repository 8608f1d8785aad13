"""Whether TorchServe is asked at all, by the failures in a row."""

from time import monotonic

from torchserve_gateway.gateway.errors import UpstreamDownError

# Failures further apart than this are not one outage.
FORGOTTEN_AFTER_S = 10.0


class Circuit:
    """Opens after `failures` in a row; then lets a request through every `open_s` seconds.

    Any answer closes it. Every refusal is a new exception: an exception that is raised again collects the
    frames, and with them the bodies, of all requests that it refused.
    """

    __slots__ = ("_failed_at", "_failures", "_next_try_at", "_open_s", "_threshold")

    def __init__(self, failures: int, open_s: float) -> None:
        self._threshold = failures
        self._open_s = open_s
        self._failures = 0
        self._failed_at = 0.0
        self._next_try_at = 0.0

    def admit(self) -> None:
        """Lets one request through.

        Raises:
            UpstreamDownError: it is open, and another request tries TorchServe.
        """
        if self._failures < self._threshold:
            return
        now = monotonic()
        if now < self._next_try_at:
            raise UpstreamDownError(
                "TorchServe could not be reached several times in a row; "
                f"it is tried again every {self._open_s:g} s"
            )
        self._next_try_at = now + self._open_s

    def failed(self) -> None:
        """Counts a request that found TorchServe out of reach."""
        now = monotonic()
        is_open = self._failures >= self._threshold
        if not is_open and now - self._failed_at > FORGOTTEN_AFTER_S:
            self._failures = 0
        self._failures += 1
        self._failed_at = now
        self._next_try_at = now + self._open_s

    def answered(self) -> None:
        """Notes that TorchServe is reached."""
        self._failures = 0

"""Memory, locks and wake-ups of forked processes.

Nothing here has a name in the file system, so nothing is left behind, however the processes end.
"""

import contextlib
import fcntl
import mmap
import os

BYTES_OF_AN_INTEGER = 8
# A pipe's content at most; more messages than that say nothing new.
INBOX_BYTES = 65_536


def integers(count: int) -> memoryview:
    """Signed 64-bit integers, all 0, that forked processes share."""
    return memoryview(mmap.mmap(-1, count * BYTES_OF_AN_INTEGER)).cast("q")


class Mutex:
    """Excludes other processes for microseconds; the kernel frees it with its holder, however that ends.

    A semaphore would stay taken for good by a process that is killed while it holds it.
    """

    def __init__(self) -> None:
        self._file = os.memfd_create("mutex")

    def reopen(self) -> None:
        """Makes the lock a forked process's own: it belongs to the open file, which a fork shares."""
        inherited, self._file = self._file, os.open(f"/proc/self/fd/{self._file}", os.O_RDWR | os.O_CLOEXEC)
        os.close(inherited)

    def __enter__(self) -> None:
        """Waits for the lock."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        """Frees the lock."""
        fcntl.flock(self._file, fcntl.LOCK_UN)


class Inboxes:
    """A pipe for each process, into which all others write messages of one byte."""

    def __init__(self, processes: int) -> None:
        self._pipes = [os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) for _ in range(processes)]

    def send(self, process: int, message: bytes) -> None:
        """Sends without waiting; a full inbox wakes its process anyway."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._pipes[process][1], message)

    def fileno(self, process: int) -> int:
        """The descriptor that becomes readable when there are messages."""
        return self._pipes[process][0]

    def receive(self, process: int) -> set[bytes]:
        """Takes the messages; equal messages count once."""
        try:
            received = os.read(self._pipes[process][0], INBOX_BYTES)
        except BlockingIOError:
            return set()
        return {bytes((each,)) for each in received}

"""The C library's allocator. Part of the model archive: imports only the standard library."""

import ctypes

# Numbers of malloc.h, see mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# glibc's own limits, in bytes, adapt to what is freed; the first is the most that it chooses.
MAPPED_BYTES, KEPT_BYTES = 32 * 2**20, 128 * 2**20


def keep_freed_memory() -> None:
    """Keeps up to `KEPT_BYTES` of freed memory for the next image. Does nothing without glibc.

    Memory that was returned to the system comes back page by page, which can take longer than decoding.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)

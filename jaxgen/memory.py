"""Memory that a step frees is kept for the next one, where the C library allows it.

XLA on a CPU allocates each step's arrays anew. By default glibc returns large blocks to the system
as they are freed, and the system zeroes their pages when they come back: a tenth to a third of the
time of a convolutional step (docs/benchmarks.md). Kept, they are there again, and the process holds
its peak: up to twice as much memory. JAXGEN_KEEP_MEMORY=0 in the environment leaves the allocator
as it is, as everything but glibc does.
"""

import ctypes
import os
import sys

_OPTIONS = {  # of mallopt, in malloc.h
    "M_MMAP_MAX": (-4, 0),  # no block of its own mapping
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),  # give nothing back
    "M_TOP_PAD": (-2, 2**28),  # grow by so much
    "M_ARENA_MAX": (-8, 1),  # one heap for all threads
}


def keep_freed_memory() -> bool:
    """Whether it could be arranged. To be called before jax is imported."""
    if os.environ.get("JAXGEN_KEEP_MEMORY") == "0" or not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    accepted = [mallopt(option, value) for option, value in _OPTIONS.values()]
    return all(accepted)

"""The host: memory that is kept between steps, and threads for XLA.

**Memory.** XLA on a CPU allocates each step's arrays anew. By default glibc returns large blocks to
the system as they are freed, and the system zeroes their pages when they come back: a tenth to a
third of the time of a convolutional step (docs/benchmarks.md). Kept, they are there again, and the
process holds its peak: up to twice as much memory. JAXGEN_KEEP_MEMORY=0 in the environment leaves
the allocator as it is, as everything but glibc does.

**Threads.** A thread of XLA's pool that waits for a part of its work holds its place. A step of
many products at once (ten seeds under `vmap`, jax 0.10 on two cores) then stops with all threads
waiting; one thread more than cores lets it go on. NPROC is where XLA reads the number; one that is
set already stays.
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
    """Tell the C library to keep what a step frees; return whether it will.

    To be called before jax is imported.
    """
    if os.environ.get("JAXGEN_KEEP_MEMORY") == "0" or not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    accepted = [mallopt(option, value) for option, value in _OPTIONS.values()]
    return all(accepted)


def spare_thread() -> int:
    """Give XLA a thread more than cores; return how many it is told to have.

    To be called before jax is first used.
    """
    return int(os.environ.setdefault("NPROC", str(cores() + 1)))


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

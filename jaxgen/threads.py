"""A thread more than cores, without which XLA on a CPU can wait for itself for ever.

A thread of XLA's pool that waits for a part of its work holds its place. A step of many products at
once (ten seeds under `vmap`, jax 0.10 on two cores) then stops with all threads waiting; one thread
more than cores lets it go on. NPROC is where XLA reads the number; one that is set already stays.
"""

import os


def spare_thread() -> int:
    """How many threads XLA is told to have. To be called before jax is first used."""
    return int(os.environ.setdefault("NPROC", str(cores() + 1)))


def cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""Several processes, each with devices of its own: who writes, and what all agree on.

Every process runs the same program. What one of them decides alone (an error, a signal, a file that
only the writer sees) is brought to all of them here before anyone acts on it: a process that acts
alone leaves the others waiting in the next collective operation.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxgen.errors import ConfigError, JaxgenError, first_line, with_exit_code

_T = TypeVar("_T")
_LOST = ("gloo", "unavailable", "deadline_exceeded", "heartbeat", "connection", "coordination")


def is_one_of_several() -> bool:
    """Return whether this is one of several processes, without initialising a backend."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def is_writer() -> bool:
    """Return whether this process is the one that writes what all have in common."""
    return not is_one_of_several() or jax.process_index() == 0


@contextmanager
def distributed() -> Iterator[None]:
    """Join the other processes for as long as the context lasts.

    On TPU, under SLURM, Kubernetes and Open MPI, JAX finds the others itself; elsewhere the
    environment has JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID. A process that
    does not hear of another for JAXGEN_HEARTBEAT seconds (100) ends, and one that leaves waits as
    long for the others.

    Raises:
      ConfigError: the others cannot be found.
    """
    try:
        _initialize()
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"--distributed: {first_line(error)}") from error
    try:
        yield
    finally:
        # After an error the others may be gone, and the shutdown would wait for them.
        if sys.exc_info()[1] is None:
            jax.distributed.shutdown()


def _initialize() -> None:
    """Tell JAX what the environment says about the processes."""
    num_processes = _number_in("JAX_NUM_PROCESSES")
    process_id = _number_in("JAX_PROCESS_ID")
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM from us
    heartbeat = int(os.environ.get("JAXGEN_HEARTBEAT", "100"))
    jax.distributed.initialize(
        num_processes=num_processes,
        process_id=process_id,
        heartbeat_timeout_seconds=heartbeat,
        shutdown_timeout_seconds=heartbeat,
    )


def _number_in(name: str) -> int | None:
    """Return the whole number in an environment variable, None if it is not set."""
    text = os.environ.get(name)
    return None if text is None else int(text)


def any_process(condition: bool) -> bool:
    """Return whether the condition is true in any of the processes, which all must ask."""
    if not is_one_of_several():
        return condition
    return bool(multihost_utils.process_allgather(np.int32(condition)).any())


def agreed(act: Callable[[], _T]) -> _T:
    """Return what `act()` gives, which every process must do; an error in one is one in all.

    Raises:
      JaxgenError: that of this process, or one with the exit code of another's.
    """
    outcome: _T | JaxgenError
    try:
        outcome = act()
    except JaxgenError as failure:
        outcome = failure
    if is_one_of_several():
        outcome = _shared(outcome)
    if isinstance(outcome, JaxgenError):
        raise outcome
    return outcome


def _shared(outcome: _T | JaxgenError) -> _T | JaxgenError:
    """Return this process's outcome, or an error if another process has one."""
    failed = isinstance(outcome, JaxgenError)
    exit_code = outcome.exit_code if isinstance(outcome, JaxgenError) else 0
    codes = multihost_utils.process_allgather(np.int32(exit_code))
    if failed or not codes.any():
        return outcome
    return with_exit_code(int(codes.max()))("ended with another process, which says why")


def writers_numbers(numbers: Sequence[int], most: int = 64) -> list[int]:
    """Return the writer's numbers in every process; all processes must ask.

    Args:
      numbers: of this process, none negative.
      most: how many are passed on; all processes must give the same.
    """
    if not is_one_of_several():
        return list(numbers)
    # A broadcast has one shape in all processes: -1 fills up.
    padded = np.full(most, -1, np.int64)
    padded[: len(numbers)] = list(numbers)[:most]
    return [int(x) for x in multihost_utils.broadcast_one_to_all(padded) if x >= 0]


@contextmanager
def leaving_if_alone(exit_code: int) -> Iterator[None]:
    """End this process at once if it meets the end of another, which all barriers wait for."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not is_one_of_several() or not _tells_of_a_lost_process(error):
            raise
        sys.stderr.write(f"error: lost another process: {first_line(error)}\n")
        sys.stderr.flush()
        # Without the exit handlers, which wait for the lost process.
        os._exit(exit_code)


def _tells_of_a_lost_process(error: Exception) -> bool:
    """Return whether the message of a runtime error is one that a lost process causes."""
    message = str(error).lower()
    return any(word in message for word in _LOST)

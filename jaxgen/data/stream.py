"""Batches prepared ahead by one background thread, so that the device never waits for them."""

import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from jaxgen.data.split import Split


def stream(
    split: Split,
    seed: int,
    batch_size: int,
    plan: Iterable[tuple[int, int]],
    prefetch: int = 2,
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the batches that a plan asks for, prepared ahead.

    Args:
      split: where examples come from.
      seed: of the order of the examples.
      batch_size: examples a step.
      plan: (first step, number of steps) of each item.
      prefetch: items held ready.

    Yields:
      Arrays [number of steps, batch_size, ...], equal to `split.batches(...)` at those steps.

    Raises:
      DataError: what the thread met, raised here. Closing the generator ends the thread.
    """
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()
    free = threading.Semaphore(prefetch)  # a bounded queue's put could not be woken by `close`
    stop = threading.Event()

    def fill() -> None:
        """Put the batches into the queue until the plan ends or the reader has gone."""
        try:
            for start, num_steps in plan:
                free.acquire()
                if stop.is_set():
                    return
                items.put(split.batches(seed, start, num_steps, batch_size))
            items.put(StopIteration())
        except BaseException as error:
            items.put(error)

    thread = threading.Thread(target=fill, name=f"stream-{split.name}", daemon=True)
    thread.start()
    try:
        while True:
            item = items.get()
            if isinstance(item, StopIteration):
                return
            if isinstance(item, BaseException):
                raise item
            free.release()
            yield item
    finally:
        stop.set()
        free.release()
        if not sys.is_finalizing():  # at exit a daemon thread never runs again: join would hang
            thread.join()

"""The messages between the harness and its workers, a line of JSON at a time.

A worker is started with its configuration, a JSON object, as its argument. Once it is warm it
prints `{"ready": {...}}`, what it has to say of itself; then for every line on stdin it does one
block of work and prints `{"seconds": ...}`. It ends when stdin does.

This file imports nothing of jaxgen, for PyTorch's workers may run in another environment.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

Block = Callable[[], Any]  # a block of work, done when it returns


def config() -> dict[str, Any]:
    """Return what the harness told this worker."""
    return json.loads(sys.argv[1])


def tell(**values: Any) -> None:
    """Say one line to the harness."""
    print(json.dumps(values), flush=True)


def serve(block: Block, ready: Mapping[str, Any]) -> None:
    """Say that the worker is ready, and do a block for every line on stdin."""
    tell(ready=dict(ready))
    for _ in sys.stdin:
        start = time.perf_counter()
        block()
        tell(seconds=time.perf_counter() - start)

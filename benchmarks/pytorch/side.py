"""The common part of PyTorch's sides of the benchmarks: the device, and the harness's protocol.

They are started with `-m` by whichever interpreter has PyTorch, and import nothing of jaxgen. Eager
mode, float32, Adam with its fused update.
"""

from typing import Any

import torch
from torch import nn

from benchmarks import worker
from benchmarks.worker import Block


def device() -> torch.device:
    """Return the accelerator if there is one, with the precision that is JAX's default there."""
    found = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if found.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32
    return found


def num_parameters(*networks: nn.Module) -> int:
    """Return how many numbers are trained."""
    return sum(p.numel() for network in networks for p in network.parameters())


def serve(block: Block, **more: Any) -> None:
    """Serve the harness until it closes stdin; a block ends when the device has done it."""

    def finished() -> None:
        block()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    ready = {
        "torch": torch.__version__,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
    }
    worker.serve(finished, {**ready, **more})

"""The PyTorch side of `benchmarks autoregressive`: training, densities and samples.

The data are random binary images that are in memory.
"""

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks import worker
from benchmarks.pytorch import side
from benchmarks.pytorch.models import MODELS
from benchmarks.worker import Block

Batches = Iterator[torch.Tensor]


def log_prob(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return log p(x) of images [B, 1, H, W], [B] nats."""
    logits = model(x).flatten(1)
    costs = functional.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="none")
    return -costs.sum(dim=1)


def train(model: nn.Module, batches: Batches, config: dict[str, Any]) -> Block:
    """Return a block of steps of Adam; the loss is fetched at the end of the block."""
    optimizer = torch.optim.Adam(model.parameters(), lr=config["learning_rate"], fused=True)

    def block() -> None:
        for _ in range(config["steps"]):
            loss = -log_prob(model, next(batches)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()

    return block


def score(model: nn.Module, batches: Batches, config: dict[str, Any]) -> Block:
    """Return a block of densities of batches."""

    @torch.inference_mode()
    def block() -> None:
        for _ in range(config["steps"]):
            total = log_prob(model, next(batches)).sum()
        total.item()

    return block


def sample(model: nn.Module, batches: Batches, config: dict[str, Any]) -> Block:
    """Return a block of samples, by the model's own loop or by a full forward pass for each pixel.

    With `config['positions']` it is so many of the H W pixels, evenly spread: every one of them
    costs the same forward pass of the whole image.
    """
    height, width, _ = config["shape"]
    pixels = np.linspace(0, height * width - 1, config["positions"] or height * width).astype(int)

    @torch.inference_mode()
    def block() -> None:
        for _ in range(config["steps"]):
            if hasattr(model, "sample"):
                model.sample(config["batch_size"])
                continue
            x = next(batches).clone()
            for pixel in pixels:
                row, column = divmod(int(pixel), width)
                logits = model(x)[:, row, column]
                x[:, 0, row, column] = torch.bernoulli(torch.sigmoid(logits))

    return block


def difference(model: nn.Module, path: str) -> float:
    """Take jaxgen's parameters and return how far the outputs are off, by jaxgen's largest."""
    with np.load(path) as saved:
        model.load({name[2:]: saved[name] for name in saved.files if name.startswith("p/")})
        x = torch.from_numpy(saved["x"])
        theirs = torch.from_numpy(saved["logits"])
    with torch.inference_mode():
        mine = model(x[:, None]).flatten(1)
    return float((mine - theirs).abs().max() / theirs.abs().max())


WORK: dict[str, Callable[..., Block]] = {"train": train, "log_prob": score, "sample": sample}


def main() -> None:
    """Serve the harness until it closes stdin."""
    config = worker.config()
    device = side.device()
    model = MODELS[config["model"]](config["shape"], **config["sizes"])
    error = difference(model, config["weights"])
    model = model.to(device)
    shape = (8, config["batch_size"], 1, *config["shape"][:2])
    images = (torch.rand(shape) < 0.5).float().to(device)
    block = WORK[config["task"]](model, cycle(images.unbind()), config)
    block()
    side.serve(block, parameters=side.num_parameters(model), difference=error)


if __name__ == "__main__":
    main()

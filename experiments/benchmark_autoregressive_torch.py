"""The PyTorch side of `experiments.benchmark autoregressive`: training, densities and samples.

It is started as a script by whichever interpreter has PyTorch, and so imports nothing of jaxgen:

    PYTHON benchmark_autoregressive_torch.py JSON

Once warm it prints `{"ready": {...}}`; for every line on stdin it does one block of work and prints
`{"seconds": ...}`. Eager mode, float32, Adam with its fused update; random binary images that are
in memory.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle

import numpy as np
import torch
from benchmark_torch_models import MODELS
from torch import nn
from torch.nn import functional


def log_prob(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """log p(x) of images [B, 1, H, W], [B] nats."""
    logits = model(x).flatten(1)
    costs = functional.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="none")
    return -costs.sum(dim=1)


def train(model: nn.Module, batches: Iterator[torch.Tensor], config: dict) -> Callable[[], None]:
    """Steps of Adam; the loss is fetched at the end of the block."""
    optimizer = torch.optim.Adam(model.parameters(), lr=config["learning_rate"], fused=True)

    def block():
        for _ in range(config["steps"]):
            loss = -log_prob(model, next(batches)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()

    return block


def score(model: nn.Module, batches: Iterator[torch.Tensor], config: dict) -> Callable[[], None]:
    """Densities of batches."""

    @torch.inference_mode()
    def block():
        for _ in range(config["steps"]):
            total = log_prob(model, next(batches)).sum()
        total.item()

    return block


def sample(model: nn.Module, batches: Iterator[torch.Tensor], config: dict) -> Callable[[], None]:
    """Samples by the model's own loop, or pixel by pixel with a full forward pass for each.

    With `config['positions']` it is so many of the H W pixels, evenly spread: every one of them
    costs the same forward pass of the whole image.
    """
    height, width, _ = config["shape"]
    pixels = np.linspace(0, height * width - 1, config["positions"] or height * width).astype(int)

    @torch.inference_mode()
    def block():
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
    """Takes jaxgen's parameters: how far the outputs are from jaxgen's, by their largest."""
    with np.load(path) as saved:
        model.load({name[2:]: saved[name] for name in saved.files if name.startswith("p/")})
        x, theirs = torch.from_numpy(saved["x"]), torch.from_numpy(saved["logits"])
    with torch.inference_mode():
        mine = model(x[:, None]).flatten(1)
    return float((mine - theirs).abs().max() / theirs.abs().max())


def main() -> None:
    """Serves the harness until it closes stdin."""
    config = json.loads(sys.argv[1])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32, which is JAX's default there
    model = MODELS[config["model"]](config["shape"], **config["sizes"])
    ready = {"torch": torch.__version__, "device": device.type, "threads": torch.get_num_threads()}
    ready["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    ready["difference"] = difference(model, config["weights"])
    model, shape = model.to(device), (8, config["batch_size"], 1, *config["shape"][:2])
    images = (torch.rand(shape) < 0.5).float().to(device)
    work = {"train": train, "log_prob": score, "sample": sample}[config["task"]]
    block = work(model, cycle(images.unbind()), config)
    block()
    print(json.dumps({"ready": ready}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        block()
        if device.type == "cuda":
            torch.cuda.synchronize()
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main()

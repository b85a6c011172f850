"""The PyTorch side of `experiments.benchmark`: the same VAE, eager, with fused Adam.

It is started as a script by whichever interpreter has PyTorch, and so imports nothing of jaxgen:

    PYTHON benchmark_torch.py JSON

Once warm it prints `{"ready": {...}}`; for every line on stdin it takes one block of steps and
prints `{"seconds": ...}`. The data are a uint8 tensor on the device; a batch is a gather by a slice
of a random permutation, binarised; the loss is fetched every `log_every` steps.
"""

import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

HEADER = 16  # bytes before the images of an IDX file


class VAE(nn.Module):
    """x -> (mean, log std) by one MLP, z -> logits by another."""

    def __init__(self, dim: int, hidden: int, latent_dim: int, activation: str):
        super().__init__()
        act = {"tanh": nn.Tanh, "relu": nn.ReLU}[activation]
        self.encoder = nn.Sequential(
            nn.Linear(dim, hidden), act(), nn.Linear(hidden, 2 * latent_dim)
        )
        self.decoder = nn.Sequential(nn.Linear(latent_dim, hidden), act(), nn.Linear(hidden, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """-ELBO of a batch [B, dim], nats per example, from one posterior draw."""
        mean, log_std = self.encoder(x).chunk(2, dim=-1)
        z = mean + log_std.exp() * torch.randn_like(mean)
        negative = functional.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = (0.5 * ((2 * log_std).exp() + mean**2 - 1) - log_std).sum()
        return (negative + kl) / len(x)


def training_images(path: Path, device: torch.device) -> torch.Tensor:
    """uint8 [N, dim]: the first 80 % of an IDX file, as jaxgen divides a single file."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    num = int.from_bytes(content[4:8], "big")
    images = torch.frombuffer(bytearray(content[HEADER:]), dtype=torch.uint8).view(num, -1)
    return images[: num - 2 * (num // 10)].to(device)


def batches(images: torch.Tensor, batch_size: int, threshold: int = 128) -> Iterator[torch.Tensor]:
    """Endless binary float32 batches [B, dim], every epoch in a new order."""
    while True:
        order = torch.randperm(len(images), device=images.device)
        for indices in order.split(batch_size):
            if len(indices) == batch_size:
                yield (images[indices] >= threshold).float()


def block(
    model: VAE, optimizer: torch.optim.Optimizer, data: Iterator[torch.Tensor], config: dict
) -> float:
    """Seconds that `config['steps']` steps took, to the end of the last one on the device."""
    start = time.perf_counter()
    for step in range(1, config["steps"] + 1):
        loss = model(next(data))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % config["log_every"] == 0:
            loss.item()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Serves the harness until it closes stdin."""
    config = json.loads(sys.argv[1])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32, which is JAX's default there
    images = training_images(Path(config["data"]), device)
    model = VAE(images.shape[1], config["hidden"], config["latent_dim"], config["activation"])
    model = model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config["learning_rate"], fused=True)
    data = batches(images, config["batch_size"])
    for _ in range(config["warmup_blocks"]):
        block(model, optimizer, data, config)
    ready = {"torch": torch.__version__, "device": device.type, "threads": torch.get_num_threads()}
    print(json.dumps({"ready": ready}), flush=True)
    for _ in sys.stdin:
        seconds = block(model, optimizer, data, config)
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()

"""The PyTorch side of `benchmarks vae`: the same VAE, eager, with fused Adam.

The data are a uint8 tensor on the device; a batch is a gather by a slice of a random permutation,
binarised; the loss is fetched every `log_every` steps.
"""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks import worker
from benchmarks.pytorch import side
from benchmarks.worker import Block

HEADER = 16  # bytes before the images of an IDX file


class VAE(nn.Module):
    """An MLP x -> (mean, log std), and another z -> logits."""

    def __init__(self, dim: int, hidden: int, latent_dim: int, activation: str):
        super().__init__()
        act = {"tanh": nn.Tanh, "relu": nn.ReLU}[activation]
        self.encoder = nn.Sequential(
            nn.Linear(dim, hidden), act(), nn.Linear(hidden, 2 * latent_dim)
        )
        self.decoder = nn.Sequential(nn.Linear(latent_dim, hidden), act(), nn.Linear(hidden, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return -ELBO of a batch [B, dim], nats per example, from one posterior draw."""
        mean, log_std = self.encoder(x).chunk(2, dim=-1)
        z = mean + log_std.exp() * torch.randn_like(mean)
        negative = functional.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = (0.5 * ((2 * log_std).exp() + mean**2 - 1) - log_std).sum()
        return (negative + kl) / len(x)


def training_images(path: Path, device: torch.device) -> torch.Tensor:
    """Return the first 80 % of an IDX file, as jaxgen divides a single file, uint8 [N, dim]."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    num = int.from_bytes(content[4:8], "big")
    images = torch.frombuffer(bytearray(content[HEADER:]), dtype=torch.uint8).view(num, -1)
    return images[: num - 2 * (num // 10)].to(device)


def batches(images: torch.Tensor, batch_size: int, threshold: int = 128) -> Iterator[torch.Tensor]:
    """Yield binary float32 batches [B, dim] without end, every epoch in a new order."""
    while True:
        order = torch.randperm(len(images), device=images.device)
        for indices in order.split(batch_size):
            if len(indices) == batch_size:
                yield (images[indices] >= threshold).float()


def training(model: VAE, data: Iterator[torch.Tensor], config: dict[str, Any]) -> Block:
    """Return a block of steps."""
    optimizer = torch.optim.Adam(model.parameters(), lr=config["learning_rate"], fused=True)

    def block() -> None:
        for step in range(1, config["steps"] + 1):
            loss = model(next(data))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % config["log_every"] == 0:
                loss.item()

    return block


def main() -> None:
    """Serve the harness until it closes stdin."""
    config = worker.config()
    device = side.device()
    images = training_images(Path(config["data"]), device)
    model = VAE(images.shape[1], config["hidden"], config["latent_dim"], config["activation"])
    block = training(model.to(device), batches(images, config["batch_size"]), config)
    for _ in range(config["warmup_blocks"]):
        block()
    side.serve(block)


if __name__ == "__main__":
    main()

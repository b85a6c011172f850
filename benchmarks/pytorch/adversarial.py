"""The PyTorch side of `benchmarks adversarial`: a DCGAN as its users write it.

Channels last. A step is one move of D, on real images and on samples in passes of their own, and
one of G on the same samples.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks import worker
from benchmarks.pytorch import side
from benchmarks.worker import Block


def generator(channels: int, latent_dim: int, features: int, stages: int) -> nn.Module:
    """Return a network z [B, Z, 1, 1] -> x [B, C, 4 * 2^stages, ...]."""
    widths = [features * 2**i for i in reversed(range(stages))]
    layers = [nn.ConvTranspose2d(latent_dim, widths[0], 4, bias=False)]
    layers += [nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
    for inputs, outputs in pairwise(widths):
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1), nn.Tanh())


def discriminator(channels: int, features: int, stages: int) -> nn.Module:
    """Return a network x -> logits [B, 1, 1, 1]."""
    layers = [nn.Conv2d(channels, features, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    widths = [features * 2**i for i in range(stages)]
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs)]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4))


def training(g: nn.Module, d: nn.Module, config: dict[str, Any], device: torch.device) -> Block:
    """Return a block of steps on random images; the losses are fetched at its end."""
    g_optimizer = _adam(g)
    d_optimizer = _adam(d)
    height, width, channels = config["shape"]
    size = (config["batch_size"], channels, height, width)
    x = (2 * torch.rand(size, device=device) - 1).to(memory_format=torch.channels_last)

    def block() -> float:
        for _ in range(config["steps"]):
            z = 2 * torch.rand(size[0], config["latent_dim"], 1, 1, device=device) - 1
            samples = g(z)
            real = d(x)
            fake = d(samples.detach())
            d_loss = functional.softplus(-real).mean() + functional.softplus(fake).mean()
            d_optimizer.zero_grad()
            d_loss.backward()
            d_optimizer.step()
            g_loss = functional.softplus(-d(samples)).mean()
            g_optimizer.zero_grad()
            g_loss.backward()
            g_optimizer.step()
        return d_loss.item() + g_loss.item()

    return block


def _adam(network: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)


def main() -> None:
    """Serve the harness until it closes stdin."""
    config = worker.config()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    channels = config["shape"][-1]
    features = config["features"]
    stages = config["stages"]
    form = {"device": device, "memory_format": torch.channels_last}
    g = generator(channels, config["latent_dim"], features, stages).to(**form)
    d = discriminator(channels, features, stages).to(**form)
    block = training(g, d, config, device)
    block()
    side.serve(block, parameters=side.num_parameters(g, d))


if __name__ == "__main__":
    main()

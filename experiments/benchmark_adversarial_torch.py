"""The PyTorch side of `experiments.benchmark adversarial`: a DCGAN as its users write it.

It is started as a script by whichever interpreter has PyTorch, and so imports nothing of jaxgen:

    PYTHON benchmark_adversarial_torch.py JSON

speaks as `benchmark_autoregressive_torch` does. Eager mode, float32, Adam with its fused update,
channels last. A step is one move of D, on real images and on samples in passes of their own, and
one of G on the same samples.
"""

import json
import sys
import time
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


def generator(channels: int, latent_dim: int, features: int, stages: int) -> nn.Module:
    """z [B, Z, 1, 1] -> x [B, C, 4 * 2^stages, ...]."""
    widths = [features * 2**i for i in reversed(range(stages))]
    layers = [nn.ConvTranspose2d(latent_dim, widths[0], 4, bias=False)]
    layers += [nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
    for inputs, outputs in pairwise(widths):
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1), nn.Tanh())


def discriminator(channels: int, features: int, stages: int) -> nn.Module:
    """x -> logits [B, 1, 1, 1]."""
    layers = [nn.Conv2d(channels, features, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    widths = [features * 2**i for i in range(stages)]
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs)]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4))


def main() -> None:
    """Serves the harness until it closes stdin."""
    config = json.loads(sys.argv[1])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes = {"features": config["features"], "stages": config["stages"]}
    channels, latent_dim = config["shape"][-1], config["latent_dim"]
    form = {"device": device, "memory_format": torch.channels_last}
    g = generator(channels, latent_dim, **sizes).to(**form)
    d = discriminator(channels, **sizes).to(**form)
    ready = {"torch": torch.__version__, "device": device.type, "threads": torch.get_num_threads()}
    ready["parameters"] = sum(p.numel() for net in (g, d) for p in net.parameters())
    block = training(g, d, device, config)
    block()
    print(json.dumps({"ready": ready}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        block()
        if device.type == "cuda":
            torch.cuda.synchronize()
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


def training(g: nn.Module, d: nn.Module, device: torch.device, config: dict):
    """A block of steps on random images; the losses are fetched at its end."""
    adam = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": True}
    g_optimizer = torch.optim.Adam(g.parameters(), **adam)
    d_optimizer = torch.optim.Adam(d.parameters(), **adam)
    height, width, channels = config["shape"]
    size = (config["batch_size"], channels, height, width)
    x = (2 * torch.rand(size, device=device) - 1).to(memory_format=torch.channels_last)

    def block():
        for _ in range(config["steps"]):
            z = 2 * torch.rand(size[0], config["latent_dim"], 1, 1, device=device) - 1
            samples = g(z)
            real, fake = d(x), d(samples.detach())
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


if __name__ == "__main__":
    main()

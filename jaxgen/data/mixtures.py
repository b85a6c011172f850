"""Mixtures of narrow Gaussians in the plane, on which mode collapse is a number.

    ring         8 modes on a circle of radius 2, standard deviation 0.02 (Metz et al., 2016,
                 "Unrolled generative adversarial networks", arXiv 1611.02163)
    small_ring   the same at half the size: radius 1, 0.01 (Lin et al., 2017, "PacGAN",
                 arXiv 1712.04086)
    grid         25 modes at {-4, -2, 0, 2, 4}^2, standard deviation 0.05 (the same)

All modes are equally probable and far apart, so that the entropy is log M + log(2 pi e std^2).
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mixture:
    """M equally probable isotropic Gaussians in the plane.

    Attributes:
      centres: M pairs.
      std: of each.
    """

    centres: tuple[tuple[float, float], ...]
    std: float

    @property
    def entropy(self) -> float:
        """Nats; the modes do not overlap."""
        return math.log(len(self.centres)) + math.log(2 * math.pi * math.e * self.std**2)

    def draw(self, rng: np.random.Generator, num: int) -> np.ndarray:
        """[num, 2], float32."""
        chosen = np.asarray(self.centres)[rng.integers(len(self.centres), size=num)]
        return (chosen + self.std * rng.standard_normal((num, 2))).astype(np.float32)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """[n, 2] -> [n], nats."""
        squares = np.square(x[:, None].astype(float) - np.asarray(self.centres)).sum(axis=-1)
        exponents = -squares / (2 * self.std**2)
        highest = exponents.max(axis=1)
        total = np.log(np.exp(exponents - highest[:, None]).sum(axis=1)) + highest
        return total - math.log(len(self.centres)) - math.log(2 * math.pi * self.std**2)


def ring(radius: float, std: float, num: int = 8) -> Mixture:
    """Modes at equal angles, each but once: 2 pi i / num."""
    angles = [2 * math.pi * i / num for i in range(num)]
    return Mixture(tuple((radius * math.cos(a), radius * math.sin(a)) for a in angles), std)


def grid(side: int, spacing: float, std: float) -> Mixture:
    """side^2 modes around the origin."""
    line = [spacing * (i - (side - 1) / 2) for i in range(side)]
    return Mixture(tuple((x, y) for x in line for y in line), std)


MIXTURES = {
    "ring": ring(2.0, 0.02),
    "small_ring": ring(1.0, 0.01),
    "grid": grid(5, 2.0, 0.05),
}

"""Mixtures of narrow Gaussians in the plane, on which mode collapse is a number.

    ring         8 modes on a circle of radius 2, standard deviation 0.02 (Metz et al., 2016,
                 "Unrolled generative adversarial networks", arXiv 1611.02163)
    small_ring   the same at half the size: radius 1, 0.01 (Lin et al., 2017, "PacGAN",
                 arXiv 1712.04086)
    grid         25 modes at {-4, -2, 0, 2, 4}^2, standard deviation 0.05 (the same)

All modes are equally probable and far apart, so that the entropy is log M + log(2 pi e std^2).
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PlanarMixture:
    """M equally probable isotropic Gaussians in the plane.

    Attributes:
      centres: M pairs.
      std: of each.
    """

    centres: tuple[tuple[float, float], ...]
    std: float

    @property
    def entropy(self) -> float:
        """The entropy in nats; the modes do not overlap."""
        of_choice = math.log(len(self.centres))
        of_mode = math.log(2 * math.pi * math.e * self.std**2)
        return of_choice + of_mode

    def draw(self, rng: np.random.Generator, num: int) -> np.ndarray:
        """Draw `num` points, float32 [num, 2]."""
        mode = rng.integers(len(self.centres), size=num)
        centre = np.asarray(self.centres)[mode]
        noise = rng.standard_normal((num, 2))
        return (centre + self.std * noise).astype(np.float32)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Return log p of points [n, 2], nats: [n]."""
        # [n, 1, 2] - [M, 2] -> [n, M, 2]: from each point to each mode
        offsets = x[:, None].astype(float) - np.asarray(self.centres)
        squares = np.square(offsets).sum(axis=-1)
        exponents = -squares / (2 * self.std**2)
        # The largest is taken out first: far from all modes each exponential is 0.
        highest = exponents.max(axis=1)
        scaled = np.exp(exponents - highest[:, None])
        total = np.log(scaled.sum(axis=1)) + highest
        # Each mode has the weight 1 / M and the normaliser 2 pi std^2.
        log_num = math.log(len(self.centres))
        log_normaliser = math.log(2 * math.pi * self.std**2)
        return total - log_num - log_normaliser


def ring(
    radius: float,
    std: float,
    num: int = 8,
) -> PlanarMixture:
    """Make modes at equal angles 2 pi i / num on a circle."""
    angles = [2 * math.pi * i / num for i in range(num)]
    centres = [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]
    return PlanarMixture(tuple(centres), std)


def grid(
    side: int,
    spacing: float,
    std: float,
) -> PlanarMixture:
    """Make side^2 modes around the origin."""
    middle = (side - 1) / 2
    line = [spacing * (i - middle) for i in range(side)]
    centres = tuple(itertools.product(line, line))
    return PlanarMixture(centres, std)


MIXTURES = {
    "ring": ring(2.0, 0.02),
    "small_ring": ring(1.0, 0.01),
    "grid": grid(5, 2.0, 0.05),
}

"""Mu-law: sound on a logarithmic scale, where the ear hears equal steps.

    f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu),     x in [-1, 1],     mu = levels - 1,

cut into `levels` equal steps: with 256 of them a quiet sample is coded to 3e-4, a loud one to 0.02.

ITU-T recommendation G.711; van den Oord et al., 2016, "WaveNet: a generative model for raw audio"
(arXiv 1609.03499), section 2.2.
"""

import numpy as np
from numpy.typing import ArrayLike


def mu_law_encode(x: ArrayLike, levels: int = 256) -> np.ndarray:
    """Return the codes 0 .. levels - 1 of x in [-1, 1] (clipped), uint8 [...]; levels <= 256."""
    mu = levels - 1
    x = np.asarray(x, np.float64)
    x = np.clip(x, -1, 1)
    size = np.log1p(mu * np.abs(x)) / np.log1p(mu)
    companded = np.sign(x) * size
    nearest = np.floor((companded + 1) / 2 * mu + 0.5)
    return nearest.astype(np.uint8)


def mu_law_decode(codes: ArrayLike, levels: int = 256) -> np.ndarray:
    """Return the x in [-1, 1] in the middle of each code's step, float64 [...]."""
    mu = levels - 1
    companded = 2 * np.asarray(codes, np.float64) / mu - 1
    size = np.expm1(np.abs(companded) * np.log1p(mu)) / mu
    return np.sign(companded) * size

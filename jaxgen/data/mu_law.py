"""Mu-law: sound on a logarithmic scale, where the ear hears equal steps.

    f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu),     x in [-1, 1],     mu = levels - 1,

cut into `levels` equal steps: with 256 of them a quiet sample is coded to 3e-4, a loud one to 0.02.

ITU-T recommendation G.711; van den Oord et al., 2016, "WaveNet: a generative model for raw audio"
(arXiv 1609.03499), section 2.2.
"""

import numpy as np
from numpy.typing import ArrayLike


def mu_law_encode(x: ArrayLike, levels: int = 256) -> np.ndarray:
    """Codes 0 .. levels - 1 of x in [-1, 1] (clipped to it), uint8 [...]; levels at most 256."""
    x, mu = np.clip(np.asarray(x, np.float64), -1, 1), levels - 1
    companded = np.sign(x) * np.log1p(mu * np.abs(x)) / np.log1p(mu)
    return np.floor((companded + 1) / 2 * mu + 0.5).astype(np.uint8)


def mu_law_decode(codes: ArrayLike, levels: int = 256) -> np.ndarray:
    """The x in [-1, 1] in the middle of each code's step, float64 [...]."""
    mu = levels - 1
    companded = 2 * np.asarray(codes, np.float64) / mu - 1
    return np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(mu)) / mu

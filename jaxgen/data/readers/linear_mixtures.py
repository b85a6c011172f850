"""Linear mixtures of independent variables, whose densities have a closed form.

linear_gaussian    x = W z + b + s e,    z and e normal;
sources            x = A s,              s Laplace, as many as there are elements.
"""

import math

import numpy as np

NOISE = 0.5  # the standard deviation s of linear_gaussian


def linear_gaussian_parameters() -> tuple[np.ndarray, np.ndarray, float]:
    """Return W [8, 3], b [8] and s of x = W z + b + s e, so that x ~ N(b, W W^T + s^2 I)."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal((8, 3))
    b = rng.standard_normal(8)
    return w, b, NOISE


def linear_gaussian_draw(rng: np.random.Generator, num: int) -> np.ndarray:
    """Draw x = W z + b + s e, with z and e standard normal: [num, 8]."""
    w, b, s = linear_gaussian_parameters()
    z = rng.standard_normal((num, 3))
    e = rng.standard_normal((num, 8))
    mean = z @ w.T + b
    return (mean + s * e).astype(np.float32)


def linear_gaussian_log_prob(x: np.ndarray) -> np.ndarray:
    """Return log N(x; b, W W^T + s^2 I): [n, 8] -> [n]."""
    w, b, s = linear_gaussian_parameters()
    covariance = w @ w.T + s**2 * np.eye(8)
    centred = x.astype(float) - b
    whitened = np.linalg.solve(covariance, centred.T).T
    square = np.sum(centred * whitened, axis=1)
    log_det = np.linalg.slogdet(2 * math.pi * covariance).logabsdet
    return -(square + log_det) / 2


def linear_gaussian_entropy() -> float:
    """Return log det(2 pi e (W W^T + s^2 I)) / 2, nats."""
    w, _, s = linear_gaussian_parameters()
    covariance = w @ w.T + s**2 * np.eye(8)
    log_det = np.linalg.slogdet(2 * math.pi * math.e * covariance).logabsdet
    return float(log_det / 2)


def sources_mixing() -> np.ndarray:
    """Return A [4, 4] of x = A s."""
    return np.random.default_rng(0).standard_normal((4, 4))


def sources_draw(rng: np.random.Generator, num: int) -> np.ndarray:
    """Draw x = A s, with independent s ~ Laplace(0, 1): [num, 4]."""
    s = rng.laplace(size=(num, 4))
    return (s @ sources_mixing().T).astype(np.float32)


def sources_log_prob(x: np.ndarray) -> np.ndarray:
    """Return the sum of log Laplace(s_i; 0, 1), s = A^-1 x, less log |det A|: [n, 4] -> [n]."""
    a = sources_mixing()
    s = np.linalg.solve(a, x.astype(float).T).T
    log_density = -np.abs(s) - math.log(2)
    return log_density.sum(axis=1) - np.linalg.slogdet(a).logabsdet


def sources_entropy() -> float:
    """Return 4 (1 + log 2) + log |det A|, nats."""
    return 4 * (1 + math.log(2)) + float(np.linalg.slogdet(sources_mixing()).logabsdet)

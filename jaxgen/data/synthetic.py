"""Distributions known exactly: they can be drawn from, and no model may beat their entropy.

Training examples are drawn afresh at every step, so nothing can be overfitted, and the
cross-entropy of a model approaches the entropy H from above: the gap is KL(data || model).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxgen.data.config import Data
from jaxgen.data.mixtures import MIXTURES
from jaxgen.data.split import SPLITS, Source, Split, identity_hash
from jaxgen.errors import ConfigError

FLIP = 0.1
SCALE = 0.5
TRANSITIONS = np.array(  # columns sum to 1 too: all four states are equally frequent
    [[0.1, 0.7, 0.15, 0.05], [0.05, 0.1, 0.7, 0.15], [0.15, 0.05, 0.1, 0.7], [0.7, 0.15, 0.05, 0.1]]
)
MOVE_ENTROPY = float(-(TRANSITIONS * np.log(TRANSITIONS)).sum(axis=1).mean())  # nats a step
HELD_OUT = {"validation": 2000, "test": 10000}


@dataclass(frozen=True)
class Known:
    """A distribution with everything there is to know about it.

    Attributes:
      shape: one example.
      levels: number of values of an element, None for continuous sets.
      entropy: nats per example.
      draw: (generator, n) -> [n, *shape], uint8 or float32.
      log_prob: [n, *shape] -> [n], nats, float64; -inf outside the support.
      parameters: what the record of generated data is hashed from.
    """

    shape: tuple[int, ...]
    levels: int | None
    entropy: float
    draw: Callable[[np.random.Generator, int], np.ndarray]
    log_prob: Callable[[np.ndarray], np.ndarray]
    parameters: dict[str, Any]


def read(config: Data) -> Source:
    """Open one of SETS. Raises ConfigError for a `train_on` that adds nothing."""
    known = SETS[config.name]
    draw = lambda rng, num: {"image": known.draw(rng, num)}  # noqa: E731
    split = generated(config, draw, known.parameters, HELD_OUT)
    return Source(known.shape, known.levels, None, split, known.entropy)


def generated(
    config: Data,
    draw: Callable[[np.random.Generator, int], dict[str, np.ndarray]],
    parameters: Mapping[str, Any],
    held_out: Mapping[str, int],
) -> Callable[[str, tuple[str, ...]], Split]:
    """The splits of a set that is drawn: afresh for training, fixed for the others.

    Args:
      config: its `name` and `train_on`.
      draw: (generator, n) -> n examples, arrays [n, ...].
      parameters: what the record of generated data is hashed from.
      held_out: how many examples the finite splits have.

    Returns:
      What `Source.split` is.

    Raises:
      ConfigError: train_on, which has nothing to add to examples that are drawn for ever.
    """
    if config.train_on != "train":
        raise ConfigError(
            f"--data.train-on {config.train_on}: {config.name!r} draws its training examples "
            "afresh for ever\nLeave it at train"
        )

    def split(name: str, parts: tuple[str, ...]) -> Split:
        del parts  # always (name,), by the check above
        if name == "train":
            sha256 = identity_hash({"name": config.name, **parameters})
            return Split(name, None, sha256, draw=draw)
        # Training draws from [seed, 0, step]: no seed below 2^32 can meet these.
        rng = np.random.default_rng([0, SPLITS.index(name)])
        return Split.of(name, draw(rng, held_out[name]))

    return split


def chain_draw(rng: np.random.Generator, num: int) -> np.ndarray:
    """Draw a fair first bit, then flips with probability FLIP, in raster order: [num, 4, 4, 1]."""
    first = rng.random((num, 1)) < 0.5
    flips = rng.random((num, 15)) < FLIP
    bits = np.cumsum(np.concatenate([first, flips], axis=1), axis=1) % 2
    return bits.astype(np.uint8).reshape(num, 4, 4, 1)


def chain_log_prob(x: np.ndarray) -> np.ndarray:
    """log P = -ln 2 + the flips' Bernoulli log-probabilities: [n, 4, 4, 1] -> [n]."""
    num_flips = np.count_nonzero(np.diff(x.reshape(len(x), 16).astype(int)), axis=1)
    return -math.log(2) + num_flips * math.log(FLIP) + (15 - num_flips) * math.log(1 - FLIP)


def bars_draw(rng: np.random.Generator, num: int) -> np.ndarray:
    """Toss a fair coin for rows or columns, then one for each of the four: [num, 4, 4, 1]."""
    upright = rng.random((num, 1, 1)) < 0.5
    lines = (rng.random((num, 4, 1)) < 0.5) & np.ones((num, 4, 4), bool)
    return np.where(upright, lines.swapaxes(1, 2), lines).astype(np.uint8)[..., None]


def bars_log_prob(x: np.ndarray) -> np.ndarray:
    """Each of 30 patterns has 1/32, but blank and full, being both bars and stripes, 1/16."""
    x = x.reshape(-1, 4, 4)
    stripes = (x == x[:, :, :1]).all(axis=(1, 2))
    bars = (x == x[:, :1, :]).all(axis=(1, 2))
    with np.errstate(divide="ignore"):
        return np.log((stripes.astype(float) + bars) / 32)


def banana_draw(rng: np.random.Generator, num: int) -> np.ndarray:
    """x1 ~ N(0, 1), x2 = x1^2 + SCALE e: [num, 2]."""
    x1, e = rng.standard_normal((2, num))
    return np.stack([x1, x1**2 + SCALE * e], axis=1).astype(np.float32)


def banana_log_prob(x: np.ndarray) -> np.ndarray:
    """log N(x1; 0, 1) + log N(x2; x1^2, SCALE^2): [n, 2] -> [n]."""
    x1, x2 = x.astype(float).T
    e = (x2 - x1**2) / SCALE
    return -(x1**2 + e**2) / 2 - math.log(2 * math.pi * SCALE)


def linear_gaussian_parameters() -> tuple[np.ndarray, np.ndarray, float]:
    """W [8, 3], b [8] and s of x = W z + b + s e, so x ~ N(b, W W^T + s^2 I)."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((8, 3)), rng.standard_normal(8), SCALE


def linear_gaussian_draw(rng: np.random.Generator, num: int) -> np.ndarray:
    """x = W z + b + s e, with z and e standard normal: [num, 8]."""
    w, b, s = linear_gaussian_parameters()
    z, e = rng.standard_normal((num, 3)), rng.standard_normal((num, 8))
    return (z @ w.T + b + s * e).astype(np.float32)


def linear_gaussian_log_prob(x: np.ndarray) -> np.ndarray:
    """log N(x; b, W W^T + s^2 I): [n, 8] -> [n]."""
    w, b, s = linear_gaussian_parameters()
    covariance = w @ w.T + s**2 * np.eye(8)
    centred = x.astype(float) - b
    square = np.sum(centred * np.linalg.solve(covariance, centred.T).T, axis=1)
    return -(square + np.linalg.slogdet(2 * math.pi * covariance).logabsdet) / 2


def _linear_gaussian_entropy() -> float:
    w, _, s = linear_gaussian_parameters()
    covariance = w @ w.T + s**2 * np.eye(8)
    return float(np.linalg.slogdet(2 * math.pi * math.e * covariance).logabsdet / 2)


def markov_draw(rng: np.random.Generator, num: int) -> np.ndarray:
    """Start in any of four states, then move by TRANSITIONS: [num, 32]."""
    noise = rng.random((num, 32))
    edges = np.cumsum(TRANSITIONS, axis=1)
    x = np.empty((num, 32), np.uint8)
    x[:, 0] = 4 * noise[:, 0]
    for t in range(1, 32):
        x[:, t] = (noise[:, t, None] >= edges[x[:, t - 1], :-1]).sum(axis=1)
    return x


def markov_log_prob(x: np.ndarray) -> np.ndarray:
    """log P = -ln 4 + the moves' log-probabilities: [n, 32] -> [n]."""
    return -math.log(4) + np.log(TRANSITIONS)[x[:, :-1], x[:, 1:]].sum(axis=1)


_FLIP_ENTROPY = -FLIP * math.log(FLIP) - (1 - FLIP) * math.log(1 - FLIP)

SETS = {
    "chain": Known(
        shape=(4, 4, 1),
        levels=2,
        entropy=math.log(2) + 15 * _FLIP_ENTROPY,
        draw=chain_draw,
        log_prob=chain_log_prob,
        parameters={"num": 16, "flip": FLIP},
    ),
    "bars": Known(
        shape=(4, 4, 1),
        levels=2,
        entropy=28 / 32 * math.log(32) + 2 / 16 * math.log(16),
        draw=bars_draw,
        log_prob=bars_log_prob,
        parameters={"side": 4},
    ),
    "banana": Known(
        shape=(2,),
        levels=None,
        entropy=math.log(2 * math.pi * math.e) + math.log(SCALE),
        draw=banana_draw,
        log_prob=banana_log_prob,
        parameters={"scale": SCALE},
    ),
    "linear_gaussian": Known(
        shape=(8,),
        levels=None,
        entropy=_linear_gaussian_entropy(),
        draw=linear_gaussian_draw,
        log_prob=linear_gaussian_log_prob,
        parameters={"dim": 8, "latent_dim": 3, "scale": SCALE, "seed": 0},
    ),
    "markov": Known(
        shape=(32,),
        levels=4,
        entropy=math.log(4) + 31 * MOVE_ENTROPY,
        draw=markov_draw,
        log_prob=markov_log_prob,
        parameters={"num": 32, "transitions": TRANSITIONS.tolist()},
    ),
    **{
        name: Known(
            shape=(2,),
            levels=None,
            entropy=mixture.entropy,
            draw=mixture.draw,
            log_prob=mixture.log_prob,
            parameters={"centres": mixture.centres, "std": mixture.std},
        )
        for name, mixture in MIXTURES.items()
    },
}

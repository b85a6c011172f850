"""Distributions known exactly: they can be drawn from, and no model may beat their entropy.

Training examples are drawn afresh at every step, so nothing can be overfitted, and the
cross-entropy of a model approaches the entropy H from above: the gap is KL(data || model).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from jaxgen.data.config import Data
from jaxgen.data.readers.linear_mixtures import (
    linear_gaussian_draw,
    linear_gaussian_entropy,
    linear_gaussian_log_prob,
    sources_draw,
    sources_entropy,
    sources_log_prob,
    sources_mixing,
)
from jaxgen.data.readers.mixtures import MIXTURES
from jaxgen.data.split import SPLITS, Source, Split, identity_hash
from jaxgen.errors import ConfigError

FLIP = 0.1
SCALE = 0.5
TRANSITIONS = np.array(  # columns sum to 1 too: all four states are equally frequent
    [
        [0.1, 0.7, 0.15, 0.05],
        [0.05, 0.1, 0.7, 0.15],
        [0.15, 0.05, 0.1, 0.7],
        [0.7, 0.15, 0.05, 0.1],
    ]
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

    def draw(rng: np.random.Generator, num: int) -> dict[str, np.ndarray]:
        """Draw a batch, {'image': [num, *shape]}."""
        return {"image": known.draw(rng, num)}

    split = generated(config, draw, known.parameters, HELD_OUT)
    return Source(
        shape=known.shape,
        levels=known.levels,
        num_classes=None,
        split=split,
        entropy=known.entropy,
    )


def generated(
    config: Data,
    draw: Callable[[np.random.Generator, int], dict[str, np.ndarray]],
    parameters: Mapping[str, Any],
    held_out: Mapping[str, int],
) -> Callable[[str, tuple[str, ...]], Split]:
    """Make the splits of a set that is drawn: afresh for training, fixed for the others.

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
        """Make the split of that name."""
        del parts  # always (name,), by the check above
        if name == "train":
            sha256 = identity_hash({"name": config.name, **parameters})
            return Split(name, None, sha256, draw=draw)
        # Training draws from [seed, 0, step]: no seed below 2^32 can meet these.
        rng = np.random.default_rng([0, SPLITS.index(name)])
        examples = draw(rng, held_out[name])
        return Split.of(name, examples, mixed=True)

    return split


def chain_draw(rng: np.random.Generator, num: int) -> np.ndarray:
    """Draw a fair first bit, then flips with probability FLIP, in raster order: [num, 4, 4, 1]."""
    first = rng.random((num, 1)) < 0.5
    flips = rng.random((num, 15)) < FLIP
    # A bit is 1 where the number of changes so far is odd: [num, 16].
    changes = np.concatenate([first, flips], axis=1)
    bits = np.cumsum(changes, axis=1) % 2
    images = bits.reshape(num, 4, 4, 1)
    return images.astype(np.uint8)


def chain_log_prob(x: np.ndarray) -> np.ndarray:
    """Return log P = -ln 2 + the flips' Bernoulli log-probabilities: [n, 4, 4, 1] -> [n]."""
    bits = x.reshape(len(x), 16).astype(int)
    num_flips = np.count_nonzero(np.diff(bits), axis=1)
    flips = num_flips * math.log(FLIP)
    stays = (15 - num_flips) * math.log(1 - FLIP)
    return -math.log(2) + flips + stays


def bars_draw(rng: np.random.Generator, num: int, side: int = 4) -> np.ndarray:
    """Toss a fair coin for rows or columns, then one for each of them: [num, side, side, 1]."""
    upright = rng.random((num, 1, 1)) < 0.5
    # [num, side, 1] -> [num, side, side]: a row is all 1 or all 0
    coins = rng.random((num, side, 1)) < 0.5
    rows = coins & np.ones((num, side, side), bool)
    columns = rows.swapaxes(1, 2)
    images = np.where(upright, columns, rows)
    return images.astype(np.uint8)[..., None]


def bars_log_prob(x: np.ndarray) -> np.ndarray:
    """Return log P: [n, side, side, 1] -> [n].

    Each of 30 patterns of 4x4 has 1/32, but blank and full, being both bars and stripes, 1/16.
    """
    x = x[..., 0]
    first_column = x[:, :, :1]
    stripes = (x == first_column).all(axis=(1, 2))
    first_row = x[:, :1, :]
    bars = (x == first_row).all(axis=(1, 2))
    probability = (stripes.astype(float) + bars) / 2 ** (x.shape[1] + 1)
    with np.errstate(divide="ignore"):
        return np.log(probability)


def banana_draw(rng: np.random.Generator, num: int) -> np.ndarray:
    """Draw x1 ~ N(0, 1), x2 = x1^2 + SCALE e: [num, 2]."""
    x1, e = rng.standard_normal((2, num))
    x2 = x1**2 + SCALE * e
    return np.stack([x1, x2], axis=1).astype(np.float32)


def banana_log_prob(x: np.ndarray) -> np.ndarray:
    """Return log N(x1; 0, 1) + log N(x2; x1^2, SCALE^2): [n, 2] -> [n]."""
    x1, x2 = x.astype(float).T
    e = (x2 - x1**2) / SCALE
    exponent = -(x1**2 + e**2) / 2
    return exponent - math.log(2 * math.pi * SCALE)


def markov_draw(rng: np.random.Generator, num: int) -> np.ndarray:
    """Start in any of four states, then move by TRANSITIONS: [num, 32]."""
    noise = rng.random((num, 32))
    edges = np.cumsum(TRANSITIONS, axis=1)
    x = np.empty((num, 32), np.uint8)
    x[:, 0] = 4 * noise[:, 0]
    for t in range(1, 32):
        # The next state is the number of edges of the row that the noise is not below.
        edges_of_row = edges[x[:, t - 1], :-1]
        passed = noise[:, t, None] >= edges_of_row
        x[:, t] = passed.sum(axis=1)
    return x


def markov_log_prob(x: np.ndarray) -> np.ndarray:
    """Return log P = -ln 4 + the moves' log-probabilities: [n, 32] -> [n]."""
    before = x[:, :-1]
    after = x[:, 1:]
    moves = np.log(TRANSITIONS)[before, after]
    return -math.log(4) + moves.sum(axis=1)


_STAY = 1 - FLIP
_FLIP_ENTROPY = -FLIP * math.log(FLIP) - _STAY * math.log(_STAY)
# 28 patterns of 1/32 and two of 1/16; of 3x3, 12 of 1/16 and two of 1/8.
_BARS_ENTROPY = 28 / 32 * math.log(32) + 2 / 16 * math.log(16)
_SMALL_BARS_ENTROPY = 12 / 16 * math.log(16) + 2 / 8 * math.log(8)
# Of x1, and of x2 given x1.
_BANANA_ENTROPY = math.log(2 * math.pi * math.e) + math.log(SCALE)

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
        entropy=_BARS_ENTROPY,
        draw=bars_draw,
        log_prob=bars_log_prob,
        parameters={"side": 4},
    ),
    "small_bars": Known(
        shape=(3, 3, 1),
        levels=2,
        entropy=_SMALL_BARS_ENTROPY,
        draw=partial(bars_draw, side=3),
        log_prob=bars_log_prob,
        parameters={"side": 3},
    ),
    "banana": Known(
        shape=(2,),
        levels=None,
        entropy=_BANANA_ENTROPY,
        draw=banana_draw,
        log_prob=banana_log_prob,
        parameters={"scale": SCALE},
    ),
    "linear_gaussian": Known(
        shape=(8,),
        levels=None,
        entropy=linear_gaussian_entropy(),
        draw=linear_gaussian_draw,
        log_prob=linear_gaussian_log_prob,
        parameters={"dim": 8, "latent_dim": 3, "scale": SCALE, "seed": 0},
    ),
    "sources": Known(
        shape=(4,),
        levels=None,
        entropy=sources_entropy(),
        draw=sources_draw,
        log_prob=sources_log_prob,
        parameters={"mixing": sources_mixing().tolist()},
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

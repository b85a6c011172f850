"""The collapse monitor: what goes wrong in a game can be seen while it is played.

    diversity       mean distance between two samples over that between two real examples;
                    towards 0 as the generator's samples become one
    advantage       what D gains over one that cannot tell samples from held-out examples, in the
                    unit of its game: nats, margins, a distance (gan/advantage.py)
    won             the share of that in the most that it can be, where there is a most;
                    1 where D has won, and the generator learns nothing more
    real, fake      where D says a probability, its mean that examples, and samples, are real

A discriminator may be right and the game sound; an alarm says where to look.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.fields import conditions, given, target
from jaxgen.typing import Array, Batch, Game, Key, Metrics, Sampler, Variables, WithDiscriminator

LEAST_DIVERSITY = 0.1
SATURATED = 0.999
_PAIRS = 500


@runtime_checkable
class Packing(Protocol):
    """A game whose discriminator judges several examples at once."""

    @property
    def pack(self) -> int:
        """The number of samples that are judged together."""
        ...


@runtime_checkable
class Judging(Protocol):
    """A game that says how well its discriminator tells samples from data."""

    def outputs(self, variables: Variables, x: Any, **conditions: Any) -> Array:
        """Return the discriminator's outputs by running statistics, [B, ...]."""
        ...

    def verdicts(self, real: Any, fake: Any) -> Metrics:
        """Return `advantage` in the game's own unit, from the outputs; {} if it is not known."""
        ...

    @property
    def largest_advantage(self) -> float:
        """The advantage of a discriminator that has won; infinite where there is no bound."""
        ...


def watches(model: Any) -> bool:
    """Return whether the model is a game with a discriminator."""
    return isinstance(model, Sampler) and isinstance(model, WithDiscriminator)


def judges_alone(model: Any) -> bool:
    """Return whether D says real or fake of one example at a time, with no label."""
    alone = isinstance(model, Game) and not isinstance(model, Packing)
    return alone and "label" not in given(model)


def vital_signs(
    model: Any,
    variables: Variables,
    batch: Batch,
    key: Key,
) -> dict[str, float]:
    """Measure `diversity`, and what the discriminator makes of examples and samples.

    Args:
      model: a game, see `watches`.
      variables: of the model.
      batch: real examples and what the model is given beside them, [N, ...] each.
      key: of the samples.
    """
    num = min(len(batch[target(model)]), 2 * _PAIRS)
    real = jnp.asarray(batch[target(model)][:num])
    condition = {name: jnp.asarray(value[:num]) for name, value in conditions(model, batch).items()}
    sample = jax.jit(model.sample, static_argnames="num")
    fake = sample(variables, key, num=num, **condition)
    of_data = max(spread(np.asarray(real)), 1e-12)
    found = {"diversity": spread(np.asarray(fake)) / of_data}
    if isinstance(model, Judging):
        found |= _verdicts(model, variables, real, fake, condition)
    return found


def _verdicts(
    model: Judging,
    variables: Variables,
    real: Array,
    fake: Array,
    condition: Mapping[str, Array],
) -> dict[str, float]:
    """Return what D makes of real examples and as many samples under the same conditions."""
    pack = model.pack if isinstance(model, Packing) else 1
    num = len(real) - len(real) % pack
    if not num:
        return {}
    condition = {name: value[:num] for name, value in condition.items()}

    @jax.jit
    def judge(variables: Variables, real: Array, fake: Array) -> Metrics:
        of_data = model.outputs(variables, real, **condition)
        of_samples = model.outputs(variables, fake, **condition)
        return model.verdicts(of_data, of_samples)

    found = {name: float(x) for name, x in judge(variables, real[:num], fake[:num]).items()}
    if "advantage" in found and 0 < model.largest_advantage < np.inf:
        found["won"] = found["advantage"] / model.largest_advantage
    return found


def spread(x: Float[Array, "n ..."]) -> float:
    """Return the mean distance of pairs, the first half of the examples with the second."""
    half = len(x) // 2
    flat = np.asarray(x, np.float64).reshape(len(x), -1)
    difference = flat[:half] - flat[half : 2 * half]
    return float(np.linalg.norm(difference, axis=1).mean())


def alarms(signs: Mapping[str, float]) -> list[str]:
    """Return a line for each sign that calls for a look."""
    lines = []
    diversity = signs.get("diversity", 1.0)
    if diversity < LEAST_DIVERSITY:
        lines.append(
            f"warning: samples are alike: their mean distance is {diversity:.2g} of that of data. "
            "Try: another seed, a lower learning rate, or packing (PacGAN)"
        )
    if _is_sure(signs):
        lines.append(
            f"warning: the discriminator is sure ({_how_sure(signs)}): the generator learns "
            "little. Try: label smoothing, R1, or a smaller discriminator"
        )
    return lines


def _is_sure(signs: Mapping[str, float]) -> bool:
    """Return whether D has won: by its probabilities, else by its share of the largest advantage.

    A game without a largest advantage is never won.
    """
    if "real" in signs and "fake" in signs:
        return signs["real"] > SATURATED and signs["fake"] < 1 - SATURATED
    return signs.get("won", 0.0) > SATURATED


def _how_sure(signs: Mapping[str, float]) -> str:
    """Return the figures that say so."""
    if "real" in signs and "fake" in signs:
        return f"data {signs['real']:.4f}, samples {signs['fake']:.4f}"
    return f"its advantage is {signs['won']:.4f} of the largest"

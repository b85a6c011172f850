"""A guard against collapse: what goes wrong in a game can be seen while it is played.

    diversity       mean distance between two samples over that between two real examples;
                    towards 0 as the generator's samples become one
    real, fake      D's mean probability that held-out examples, and samples, are real;
                    1 and 0 where D has won, and the generator learns nothing more

A discriminator may be right and the game sound; an alarm says where to look.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.train import Key, Variables
from jaxgen.typing import Array

LEAST_DIVERSITY = 0.1
SATURATED = 0.999
_PAIRS = 500


def watches(model: Any) -> bool:
    """Whether the model is a game with a discriminator."""
    return hasattr(model, "discriminator_loss")


def judges_alone(model: Any) -> bool:
    """Whether D says real or fake of one example at a time, with no label."""
    packs, classes = hasattr(model, "pack"), getattr(model, "num_classes", 0)
    return hasattr(model, "logits") and not packs and not classes


def vital_signs(
    model: Any, variables: Variables, x: Float[Array, "n ..."], key: Key
) -> dict[str, float]:
    """`diversity`, and `real` and `fake` where the discriminator judges single examples.

    Args:
      model: a game, see `watches`.
      variables: of the model.
      x: real examples.
      key: of the samples.
    """
    num = min(len(x), 2 * _PAIRS)
    real = jnp.asarray(x[:num])
    fake = jax.jit(model.sample, static_argnums=2)(variables, key, num)
    found = {"diversity": spread(np.asarray(fake)) / max(spread(np.asarray(real)), 1e-12)}
    if judges_alone(model):
        probability = jax.jit(lambda v, x: jax.nn.sigmoid(model.logits(v, x)).mean())
        found |= {"real": probability(variables, real), "fake": probability(variables, fake)}
    return {name: float(value) for name, value in found.items()}


def spread(x: Float[Array, "n ..."]) -> float:
    """The mean distance of pairs, the first half of the examples with the second."""
    half = len(x) // 2
    flat = np.asarray(x, np.float64).reshape(len(x), -1)
    return float(np.linalg.norm(flat[:half] - flat[half : 2 * half], axis=1).mean())


def alarms(signs: Mapping[str, float]) -> list[str]:
    """A line for each sign that calls for a look."""
    lines = []
    diversity = signs.get("diversity", 1.0)
    if diversity < LEAST_DIVERSITY:
        lines.append(
            f"warning: samples are alike: their mean distance is {diversity:.2g} of that of data. "
            "Try: another seed, a lower learning rate, or packing (PacGAN)"
        )
    if signs.get("real", 0.5) > SATURATED and signs.get("fake", 0.5) < 1 - SATURATED:
        lines.append(
            f"warning: the discriminator is sure (data {signs['real']:.4f}, samples "
            f"{signs['fake']:.4f}): the generator learns little. Try: label smoothing, R1, or a "
            "smaller discriminator"
        )
    return lines

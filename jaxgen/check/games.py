"""Laws of what a game says of itself: its prior, its discriminator's advantage, its two costs.

An advantage is how much less a discriminator pays than the best constant output (`gan.advantage`);
so outputs that are all the same have none, 0 at the best of them, and no outputs have more than the
largest, which some reach. A game of real or fake is the sum of its parts: over many draws of z

    loss of D = cost of D(logits of data, logits of samples) + penalty,    loss of G = cost of G,

with the logits of `logits` and samples of `sample`, where a network does the same in training as in
evaluation: without batch statistics, noise or dropout.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.check.law import Law, Subject, at_least, at_most
from jaxgen.check.objectives import at_rest, few
from jaxgen.gan.base import RealOrFake
from jaxgen.nn import train_pass
from jaxgen.typing import Array, Key

_DRAWS = 4000
_NUM_KEYS = 200
_SIGMAS = 5.0
_ROUNDING = 1e-5  # relative, of float32 means
_EXTREME = 16.0  # of outputs: a sure discriminator's
_FINE = 1025  # constants, 1 / 32 apart
_COARSE = 65  # one half apart
_NEAR = 1e-3  # in the place of the best constant, one of the grid's
_REACHED = 0.05
_UNIT = "the game's own unit"
_ANY = 5.0  # at least, where there is no largest advantage
_VARIANCES = {"normal": 1.0, "uniform": 1 / 3}
_FOURTH_MOMENTS = {"normal": 3.0, "uniform": 1 / 5}


def prior(subject: Subject) -> list[Law]:
    """Test that codes have the moments of the prior that the model states."""
    stated = getattr(subject.model, "prior", "")
    if stated not in _VARIANCES:
        return []
    z = np.asarray(subject.model.latents(subject.key, _DRAWS), np.float64)
    expected = _VARIANCES[stated]
    error_of_mean = (expected / _DRAWS) ** 0.5
    error_of_square = ((_FOURTH_MOMENTS[stated] - expected**2) / _DRAWS) ** 0.5
    mean = np.abs(z.mean(axis=0)) / error_of_mean
    square = np.abs((z**2).mean(axis=0) - expected) / error_of_square
    return [
        at_most(
            "draws from the prior have its mean and variance",
            max(mean.max(), square.max()),
            _SIGMAS,
            "standard errors",
            f"Each dimension of {_DRAWS} draws against those of the {stated} prior, 0 and "
            f"{expected:.4g}; the largest deviation.",
        )
    ]


def advantage(subject: Subject) -> list[Law]:
    """Test the unit of the discriminator's advantage at outputs that are known."""
    model = subject.model
    subject = few(subject)
    given = subject.conditions(len(subject.x))
    shape = jax.eval_shape(model.outputs, subject.variables, subject.x, **given).shape
    if "advantage" not in model.verdicts(jnp.zeros(shape), jnp.zeros(shape)):
        return []

    @jax.jit
    @jax.vmap
    def of(real: jax.Array, fake: jax.Array) -> jax.Array:
        return jnp.asarray(model.verdicts(real, fake)["advantage"])

    same = _constants(shape, _FINE)
    undecided = float(of(same, same).max())
    kinds = _kinds(shape)
    real = jnp.repeat(kinds, len(kinds), axis=0)
    found = float(of(real, jnp.concatenate([kinds] * len(kinds))).max())
    largest = model.largest_advantage
    bounded = math.isfinite(largest)
    laws = [
        at_most(
            "outputs that are all the same have no advantage",
            abs(undecided),
            _NEAR,
            _UNIT,
            f"The largest of {_FINE} constant outputs is {undecided:.4g}; the best constant has 0.",
        ),
        at_least(
            "the largest advantage is reached",
            found,
            largest - _REACHED if bounded else _ANY,
            _UNIT,
            "By outputs that are sure of data and of samples.",
        ),
    ]
    if bounded:
        meaning = f"Of {len(real)} pairs of outputs; the model states {largest:.4g}."
        law = "no advantage is above the largest"
        laws += [at_most(law, found, largest + _NEAR, _UNIT, meaning)]
    return laws


def _kinds(shape: tuple[int, ...]) -> jax.Array:
    """Return outputs that are sure of what they judge, or unsure, [N, *shape]."""
    constants = _constants(shape, _COARSE)
    if len(shape) == 1:
        return constants
    one_of_them = jnp.arange(shape[0]) % shape[1]  # outputs for classes may be sure of one
    sure = constants * jax.nn.one_hot(one_of_them, shape[1])[None]
    return jnp.concatenate([constants, sure])


def _constants(shape: tuple[int, ...], num: int) -> jax.Array:
    """Return outputs of that shape that are all the same number, [num, *shape]."""
    values = jnp.linspace(-_EXTREME, _EXTREME, num)
    ones = (1,) * len(shape)
    return jnp.broadcast_to(values.reshape(num, *ones), (num, *shape))


def costs(subject: Subject) -> list[Law]:
    """Test that both losses are the game's costs of logits, and the penalty."""
    model = subject.model
    subject = few(subject)
    if not isinstance(model, RealOrFake) or not _plain(model, subject):
        return []
    keys = jax.random.split(subject.key, 2 * _NUM_KEYS)
    found = _rows(_claimed(model, subject), keys[:_NUM_KEYS])
    expected = _rows(_of_parts(model, subject), keys[_NUM_KEYS:])
    difference = np.abs(found.mean(axis=0) - expected.mean(axis=0))
    error = np.hypot(found.std(axis=0), expected.std(axis=0)) / _NUM_KEYS**0.5
    error += _ROUNDING * (1 + np.abs(expected.mean(axis=0)))
    return [
        at_most(
            f"the {player}'s loss is its cost of logits",
            difference[place] / error[place],
            _SIGMAS,
            "standard errors",
            f"Means over {_NUM_KEYS} draws: the loss is {found[:, place].mean():.4f}, what `game` "
            f"and `penalty` make of `logits` and `sample` {expected[:, place].mean():.4f}.",
        )
        for place, player in enumerate(("discriminator", "generator"))
        if _is_own(model, f"{player}_loss")
    ]


def _of_parts(model: RealOrFake, subject: Subject) -> Callable[[Key], tuple[Any, Any]]:
    """Return what both losses should be, by `game`, `penalty`, `logits` and `sample`."""
    variables = subject.variables
    x = subject.x

    def critic(points: Array) -> Array:
        return model.logits(variables, points)

    def of_key(key: Key) -> tuple[Any, Any]:
        sample_key, penalty_key = jax.random.split(key)
        samples = model.sample(variables, sample_key, len(x))
        real = critic(x)
        fake = critic(samples)
        penalty = model.penalty(critic, x, samples, penalty_key)
        of_discriminator = model.game.discriminator(real, fake) + penalty
        return of_discriminator, model.game.generator(fake)

    return of_key


def _claimed(model: RealOrFake, subject: Subject) -> Callable[[Key], tuple[Any, Any]]:
    """Return both losses; 0 for a generator's that the model makes in another way."""
    variables = subject.variables
    told = {
        **subject.batch,
        "step": jnp.zeros((), jnp.int32),
        "opt_state": at_rest(subject.experiment.players(), variables),
    }

    def of_key(key: Key) -> tuple[Any, Any]:
        batch = {**told, "key": key}
        of_discriminator, _ = model.discriminator_loss(variables, batch, key)
        if not _is_own(model, "generator_loss"):
            return of_discriminator, jnp.zeros(())
        of_generator, _ = model.generator_loss(variables, batch, key)
        return of_discriminator, of_generator

    return of_key


def _is_own(model: RealOrFake, loss: str) -> bool:
    """Return whether a loss is the one that the base makes of `game` and `penalty`."""
    return getattr(type(model), loss) is getattr(RealOrFake, loss)


def _plain(model: RealOrFake, subject: Subject) -> bool:
    """Return whether the model is given nothing, and trains what it evaluates."""
    variables = subject.variables
    if subject.conditions(1) or not _is_own(model, "discriminator_loss"):
        return False
    if any("batch_stats" in collections for collections in variables.values()):
        return False
    z = model.latents(subject.key, len(subject.x))
    generator = variables["generator"]
    made, _ = train_pass(model.generator, generator, z, key=subject.key)
    (judged, _), _ = model.judge(variables, subject.x, subject.key)
    pairs = ((made, model.decode(variables, z)), (judged, model.logits(variables, subject.x)))
    return all(np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in pairs)


def _rows(function: Callable[[Key], tuple[Any, Any]], keys: Key) -> np.ndarray:
    """Return both numbers for each key, [K, 2] in float64."""
    pair = jax.jit(lambda keys: jax.lax.map(function, keys))(keys)
    return np.stack([np.asarray(row, np.float64) for row in pair], axis=1)

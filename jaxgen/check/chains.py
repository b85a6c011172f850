"""Laws of denoisers and of their chains: what a move does, and what it leaves as it is.

A Metropolis-adjusted kernel leaves exp(-E) as it is whatever points it moves among: off the
diagonal its entries are q(y | x) a(x, y), and flows between two points are equal,

    exp(-E(x)) q(y | x) a(x, y) = exp(-E(y)) q(x | y) a(y, x).

So it is written out among a few states of the model's own chains.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.check.law import Law, Subject, at_most
from jaxgen.diffusion import langevin
from jaxgen.typing import Energy, Key, Variables

_POINTS = 24
_DRAWS = 4000
_LOSSES = 100
_SIGMAS = 5.0
_LARGEST = 6.0  # of some hundred elements
_ROUNDING = 1e-4
_SLOPE = 1e-2  # relative, of a difference in float32
_SMALL = 1e-2  # step of the difference


def denoising(subject: Subject) -> list[Law]:
    """Test the score against the denoiser, and the loss against one made of it."""
    model = subject.model
    x = subject.x
    y = x + model.sigma * jax.random.normal(subject.key, x.shape)
    made = np.asarray(jax.jit(model.denoise)(subject.variables, y), np.float64)
    score = np.asarray(jax.jit(model.score)(subject.variables, y), np.float64)
    identity = np.abs((made - np.asarray(y, np.float64)) / model.sigma**2 - score)
    (player,) = subject.experiment.players()

    @jax.jit
    def both(variables: Variables, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
        def of_key(key: Key) -> tuple[jax.Array, jax.Array]:
            noise = jax.random.normal(jax.random.fold_in(key, 7), x.shape)
            noisy = x + model.sigma * noise
            again = jnp.square((model.denoise(variables, noisy) - x) / model.sigma).mean()
            return player.loss(variables, subject.batch, key)[0], again

        return jax.lax.map(of_key, keys)

    keys = jax.random.split(subject.key, _LOSSES)
    own, again = (np.asarray(part, np.float64) for part in both(subject.variables, keys))
    error = ((own.var() + again.var()) / _LOSSES) ** 0.5 + 1e-5 * (1 + abs(again.mean()))
    return [
        at_most(
            "the score is (r(y) - y) / sigma^2",
            identity.max() / (1 + np.abs(score).max()),
            _ROUNDING,
            "relative difference",
            f"At {len(x)} examples with noise.",
        ),
        at_most(
            "the loss is the error of the denoiser",
            abs(own.mean() - again.mean()) / error,
            _SIGMAS,
            "standard errors",
            f"Means over {_LOSSES} draws: {own.mean():.4f}, made again {again.mean():.4f}.",
        ),
    ]


def unadjusted_move(subject: Subject) -> list[Law]:
    """Test that a move has the mean y + (e^2 / 2) score and the standard deviation e."""
    model = subject.model
    if isinstance(model, Energy):
        return []  # its moves are accepted or not
    here = subject.x[:1]
    many = jnp.broadcast_to(here, (_DRAWS, *model.shape))
    drawn = np.asarray(jax.jit(model.move)(subject.variables, subject.key, many), np.float64)
    score = np.asarray(jax.jit(model.score)(subject.variables, here), np.float64)[0]
    mean = np.asarray(here[0], np.float64) + 0.5 * model.step**2 * score
    error = model.step / _DRAWS**0.5 + 1e-5 * (1 + np.abs(mean).max())
    scores = np.abs(drawn.mean(axis=0) - mean) / error
    relative = drawn.var(axis=0).mean() / model.step**2 - 1
    of_variance = (2 / (_DRAWS * mean.size)) ** 0.5 + 1e-3
    return [
        at_most(
            "a move goes along the score, with noise",
            max(float(scores.max()), abs(relative) / of_variance),
            _LARGEST,
            "standard errors",
            f"Mean and variance of {_DRAWS} draws from one example.",
        )
    ]


def adjusted_move(subject: Subject) -> list[Law]:
    """Test that the adjusted kernel leaves exp(-E) as it is, and that slopes are E's."""
    model = subject.model
    x = subject.x[:_POINTS] + model.step * jax.random.normal(subject.key, subject.x[:_POINTS].shape)
    energy, score = jax.jit(model.energy_and_score)(subject.variables, x)
    matrix = _kernel(x, energy, score, model.step)
    energies = np.asarray(energy, np.float64)
    law = np.exp(energies.min() - energies)
    law /= law.sum()
    after = law @ matrix
    return [
        at_most(
            "an adjusted move leaves exp(-E) as it is",
            np.abs(after - law).max(),
            _ROUNDING,
            "largest difference",
            f"The kernel among {len(x)} states.",
        ),
        _slope(subject, x, np.asarray(score, np.float64)),
    ]


def _kernel(x: Any, energy: Any, score: Any, step: float) -> np.ndarray:
    """Return the kernel among states, [K, K]; what would leave them stays where it is."""
    num = len(x)
    here = np.repeat(np.arange(num), num)
    there = np.tile(np.arange(num), num)
    mean = langevin.proposal_mean(x, score, step)
    forwards = langevin.log_proposal(x[there], mean[here], step)
    backwards = langevin.log_proposal(x[here], mean[there], step)
    energies = (energy[here], energy[there])
    chance = langevin.log_acceptance(energies, (forwards, backwards))
    moved = np.asarray(forwards + chance, np.float64).reshape(num, num)
    np.fill_diagonal(moved, -np.inf)
    matrix = np.exp(moved - moved.max()) / num
    return matrix + np.diag(1 - matrix.sum(axis=1))


def _slope(subject: Subject, x: jax.Array, score: np.ndarray) -> Law:
    """Test the score against differences of the energy along random directions."""
    direction = jax.random.normal(jax.random.fold_in(subject.key, 1), x.shape)
    energy = jax.jit(subject.model.energy)
    there = np.asarray(energy(subject.variables, x + _SMALL * direction), np.float64)
    back = np.asarray(energy(subject.variables, x - _SMALL * direction), np.float64)
    expected = -(there - back) / (2 * _SMALL)
    along = (score * np.asarray(direction, np.float64)).reshape(len(x), -1).sum(axis=1)
    return at_most(
        "the score is minus the slope of the energy",
        np.abs(along - expected).max() / (1 + np.abs(expected).max()),
        _SLOPE,
        "relative difference",
        f"Differences of E along {len(x)} random directions.",
    )


def walkback(subject: Subject) -> list[Law]:
    """Test a stochastic network's loss, its corruption, and the bits that it draws."""
    model = subject.model
    x = subject.x.reshape(len(subject.x), -1)
    variables = subject.variables
    logits = np.asarray(
        jax.jit(model.walk, static_argnums=3)(variables, subject.key, x, model.walkbacks),
        np.float64,
    )
    bits = np.asarray(x, np.float64)[None]
    cost = np.logaddexp(0, np.where(bits > 0.5, -logits, logits)).sum(axis=(0, 2)).mean()
    found = float(jax.jit(model.gsn_loss)(variables, subject.batch, subject.key)[0])
    return [
        at_most(
            "the loss is -log p of the example after each move",
            abs(found - cost) / (1 + cost),
            _ROUNDING,
            "relative difference",
            f"{model.walkbacks} moves from {len(x)} examples, in float64.",
        ),
        _corruption(subject, x),
    ]


def _corruption(subject: Subject, x: jax.Array) -> Law:
    """Test that a corrupted copy has the share of turned elements that it should have."""
    repeats = -(-_DRAWS // x.size)
    many = jnp.tile(x, (repeats, 1))
    visible = jax.jit(subject.model.started)(subject.key, many)[0]
    turned = np.asarray(visible != many, np.float64)
    expected = subject.model.corruption / 2
    error = (expected * (1 - expected) / turned.size) ** 0.5 + 1e-9
    return at_most(
        "salt and pepper turn half of their share",
        abs(turned.mean() - expected) / error,
        _SIGMAS,
        "standard errors",
        f"Of {turned.size} elements {turned.mean():.4f} are turned.",
    )

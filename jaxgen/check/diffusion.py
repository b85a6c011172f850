"""Laws of diffusion models, at the parameters of the run: process, bound, loss and ways back.

The process is written down again here from the b_t alone, step by step; the losses are made again
from the network's outputs. What is drawn at random is compared in standard errors.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.check.law import Law, Subject, at_least, at_most
from jaxgen.diffusion import DDIM, Ancestral, reverse
from jaxgen.diffusion.ddpm import decoder
from jaxgen.diffusion.process import reverse_variance
from jaxgen.typing import Key, Variables

_EXAMPLES = 8
_PASSES = 1200  # of the network, for all terms of the bound again and again
_DRAWS = 2000
_LOSSES = 200
_SIGMAS = 5.0
_LARGEST = 6.0  # of some hundred elements
_EXACT = 1e-9  # relative, of float64
_ROUNDING = 1e-4  # relative to the size of x_t in float32


def process(subject: Subject) -> list[Law]:
    """Test the coefficients against single steps and Bayes' rule, in float64."""
    found = subject.model.process
    mean = np.ones(found.num_steps + 1)
    variance = np.zeros(found.num_steps + 1)
    bayes = []
    for t in range(1, found.num_steps + 1):
        kept = 1 - found.beta[t]
        mean[t] = np.sqrt(kept) * mean[t - 1]
        variance[t] = kept * variance[t - 1] + found.beta[t]
        if t > 1:
            precision = 1 / variance[t - 1] + kept / found.beta[t]
            of_clean = mean[t - 1] / variance[t - 1] / precision
            of_noisy = np.sqrt(kept) / found.beta[t] / precision
            expected = (of_clean, of_noisy, 1 / precision)
            given = (found.of_clean[t], found.of_noisy[t], found.posterior_variance[t])
            bayes += [abs(one - other) for one, other in zip(given, expected, strict=True)]
    composed = np.abs(found.signal - mean).max() + np.abs(found.noise**2 - variance).max()
    meaning = f"Of {found.num_steps} steps, in float64."
    return [
        at_most("q(x_t | x_0) is its single steps", composed, _EXACT, "difference", meaning),
        at_most(
            "q(x_{t-1} | x_t, x_0) is that of Bayes' rule",
            max(bayes, default=0.0),
            _EXACT,
            "largest difference",
            meaning,
        ),
    ]


def bound(subject: Subject) -> list[Law]:
    """Test that terms are divergences, and that drawn steps have the mean of all of them."""
    model = subject.model
    x = subject.x[:_EXAMPLES]

    @jax.jit
    def all_terms(variables: Variables, key: Key) -> jax.Array:
        return model.bound_terms(variables, x, key)

    @jax.jit
    def drawn_terms(variables: Variables, keys: jax.Array) -> jax.Array:
        return -jax.lax.map(lambda key: model.elbo(variables, x, key, 8), keys)

    repeats = max(_PASSES // model.num_steps, 6)
    keys = jax.random.split(subject.key, repeats)
    terms = np.asarray([all_terms(subject.variables, key) for key in keys], np.float64)
    # [R, T + 1, B]; the term t = 1 is a likelihood
    divergences = np.delete(terms, 1, axis=1)
    totals = terms.sum(axis=1).mean(axis=1)  # [R]
    more = jax.random.split(jax.random.fold_in(subject.key, 1), _LOSSES)
    drawn = np.asarray(drawn_terms(subject.variables, more), np.float64).mean(axis=1)
    spread = totals.var(ddof=1) / len(totals) + drawn.var(ddof=1) / len(drawn)
    error = spread**0.5 + 1e-5 * (1 + abs(totals.mean()))
    return [
        at_least(
            "the divergences of the bound are >= 0",
            divergences.min(),
            -1e-4,
            "nats",
            f"All terms but -log p(x_0 | x_1), of {len(x)} examples.",
        ),
        at_most(
            "drawn steps have the mean of all steps",
            abs(totals.mean() - drawn.mean()) / error,
            _LARGEST,  # the spread is of few repeats
            "standard errors",
            f"The sum of {terms.shape[1]} terms is {totals.mean():.4f} nats, by drawn ones "
            f"{drawn.mean():.4f}.",
        ),
    ]


def loss(subject: Subject) -> list[Law]:
    """Test the loss against one made of the network's outputs, or against the bound."""
    model = subject.model
    x = subject.x[: 4 * _EXAMPLES]
    found = model.process
    network = model.network

    def of_network(variables: Variables, key: Key) -> jax.Array:
        if model.objective == "bound":
            return -replace(model, clip=False).elbo(variables, x, key, 1).mean()
        time_key, noise_key = jax.random.split(jax.random.fold_in(key, 7))
        y = 2 * x / (model.levels - 1) - 1 if model.levels else x
        t = jax.random.randint(time_key, (len(y),), 1, model.num_steps + 1)
        noise = jax.random.normal(noise_key, y.shape)
        kept = jnp.asarray(np.cumprod(1 - found.beta), y.dtype)[t]
        kept = kept.reshape(-1, *[1] * (y.ndim - 1))  # [B, 1, ..., 1]
        noisy = jnp.sqrt(kept) * y + jnp.sqrt(1 - kept) * noise
        time = 1000.0 * t.astype(y.dtype) / model.num_steps
        guess = network.apply(variables["denoiser"], noisy, time)
        return jnp.square(guess - noise).mean()

    @jax.jit
    def both(variables: Variables, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
        def of_key(key: Key) -> tuple[jax.Array, jax.Array]:
            own = model.ddpm_loss(variables, {"image": x}, key)[0]
            return own, of_network(variables, key)

        return jax.lax.map(of_key, keys)

    keys = jax.random.split(subject.key, _LOSSES)
    own, again = (np.asarray(part, np.float64) for part in both(subject.variables, keys))
    error = ((own.var() + again.var()) / _LOSSES) ** 0.5 + 1e-5 * (1 + abs(again.mean()))
    name = "minus the bound" if model.objective == "bound" else "the error of the guessed noise"
    return [
        at_most(
            f"the loss is {name}",
            abs(own.mean() - again.mean()) / error,
            _SIGMAS,
            "standard errors",
            f"Means over {_LOSSES} draws: {own.mean():.4f}, made again {again.mean():.4f}.",
        )
    ]


def last_step(subject: Subject) -> list[Law]:
    """Test that p(x_0 | x_1) sums to 1 over the levels of each element."""
    model = subject.model
    if model.levels is None:
        return []
    levels = jnp.arange(model.levels, dtype=jnp.float32)
    y = decoder.normalize(levels, model.levels)[:, None]  # [L, 1]
    means = jnp.linspace(-1.2, 1.2, 101)[None]
    variance = reverse_variance(model.process, model.variance)[1]
    log_prob = decoder.decoder_log_prob(y, means, float(np.sqrt(variance)), model.levels)
    total = np.exp(np.asarray(log_prob, np.float64)).sum(axis=0)
    return [
        at_most(
            "p(x_0 | x_1) sums to 1",
            np.abs(total - 1).max(),
            1e-3,
            "largest |sum - 1|",
            f"Over {model.levels} levels, at {len(total)} means.",
        )
    ]


def ways_back(subject: Subject) -> list[Law]:
    """Test both tables of moves against each other, and a move against p(x_{t-1} | x_t)."""
    model = subject.model
    found = model.process
    by_ddim = DDIM(found.num_steps, eta=1.0).moves(found)
    ancestral = Ancestral("small").moves(found)
    pairs = zip(by_ddim[1:], ancestral[1:], strict=True)
    apart = max(float(np.abs(one - other).max()) for one, other in pairs)
    return [
        at_most(
            "DDIM with all noise and steps is ancestral sampling",
            apart,
            _EXACT,
            "largest difference",
            "Of the small variance: coefficients of all moves, in float64.",
        ),
        _one_move(subject),
    ]


def _one_move(subject: Subject) -> Law:
    """Test draws of a move half way, from one x_t, by the paper's form of the mean."""
    model = replace(subject.model, clip=False)
    variables = subject.variables
    found = model.process
    t = (found.num_steps + 1) // 2
    start = jax.random.normal(subject.key, (1, *model.shape))
    noise = np.asarray(jax.jit(model.noise)(variables, start, jnp.asarray(t)), np.float64)[0]
    beta = found.beta[t]
    mean = (np.asarray(start[0], np.float64) - beta / found.noise[t] * noise) / np.sqrt(1 - beta)
    variance = reverse_variance(found, model.variance)[t] if t > 1 else 0.0
    row = found.num_steps - t
    table = Ancestral(model.variance).moves(found)
    moves = reverse.Moves(*(part[row : row + 1] for part in table))
    many = jnp.broadcast_to(start, (_DRAWS, *model.shape))

    @jax.jit
    def moved(variables: Variables, key: Key) -> jax.Array:
        return reverse.run(moves, model.denoiser(variables), key, many)

    drawn = np.asarray(moved(variables, jax.random.fold_in(subject.key, 1)), np.float64)
    rounding = _ROUNDING * (1 + np.abs(mean).max())
    error = (variance / _DRAWS) ** 0.5 + rounding
    scores: Any = np.abs(drawn.mean(axis=0) - mean) / error
    spread = abs(drawn.var(axis=0).mean() - variance)
    of_variance = variance * (2 / (_DRAWS * max(mean.size, 1))) ** 0.5 + rounding**2
    return at_most(
        "a move back draws from p(x_{t-1} | x_t)",
        max(float(scores.max()), float(spread / of_variance)),
        _LARGEST,
        "standard errors",
        f"Mean and variance of {_DRAWS} draws at t = {t}, the mean by the guessed noise.",
    )


LAWS = (process, bound, loss, last_step, ways_back)

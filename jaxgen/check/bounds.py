"""Laws of models with latent variables and importance weights: the VAE and its kin.

The central one needs no knowledge of p(x). For x simulated from the model itself the z* that made
it is an exact posterior draw, and with k - 1 further draws from q,

    E log mean(w(z_1), ..., w(z_k))  <=  log p(x)  <=  E log mean(w(z*), w(z_2), ..., w(z_k)),

so that the truth is bracketed at the real configuration of the model. (Lower bound: Burda et al.,
2016. Upper bound: Sobolev & Vetrov, 2019, "Importance weighted hierarchical variational inference",
with the prior in the place of the mixing distribution; it is bidirectional Monte Carlo of Grosse et
al., 2015, without intermediate distributions.)
"""

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.check.law import Law, Subject, at_least, at_most
from jaxgen.distributions import log_mean_exp, normal_log_prob
from jaxgen.evaluation.likelihood import importance_weights
from jaxgen.typing import Array, Density

_SAMPLES = 500
_SIGMAS = 5.0  # of a two-sided test: a false alarm once in two million


def sampling(subject: Subject) -> list[Law]:
    """Certify that samples are finite, of the right shape, and in the range of the data."""
    sample = jax.jit(subject.model.sample, static_argnames="num")
    condition = subject.conditions(64)
    x = np.asarray(sample(subject.variables, subject.key, num=64, **condition))
    space = getattr(subject.model, "observation", subject.model)
    low, high = getattr(space, "range", (-np.inf, np.inf))
    outside = np.sum(~np.isfinite(x) | (x < low) | (x > high))
    wrong_shape = x.shape != (64, *subject.x.shape[1:])
    return [
        at_most(
            "samples lie where data lie",
            float(x.size if wrong_shape else outside),
            0,
            "values outside",
            f"64 samples have the shape of the data and lie in [{low:g}, {high:g}].",
        )
    ]


def observation(subject: Subject) -> list[Law]:
    """Certify that p(x | z) is a distribution at the decoder's real outputs."""
    model = subject.model
    z = model.latents(subject.key, 8)
    params = model.decoder_outputs(subject.variables, z, **subject.conditions(8))
    points, width = model.observation.grid(params)
    density = jnp.exp(model.observation.log_prob(params[None], points))  # [V, 8, *shape]
    total = (density * width).sum(axis=0)
    return [
        at_most(
            "p(x | z) sums to 1",
            jnp.abs(total - 1).max(),
            1e-4,
            "largest |sum - 1|",
            f"Over all values of each of {total.size} elements, for 8 draws of z.",
        )
    ]


def agreement(subject: Subject) -> list[Law]:
    """Certify that draws from p(x | z) have the mean log-likelihood that its density gives."""
    model = subject.model
    num = 100
    latent_key, pixel_key = jax.random.split(subject.key)
    z = model.latents(latent_key, 8)
    params = model.decoder_outputs(subject.variables, z, **subject.conditions(8))

    # Its mean and variance, by the sum over all values [V, 8, *shape].
    points, width = model.observation.grid(params)
    log_prob = model.observation.log_prob(params[None], points)
    mass = jnp.exp(log_prob) * width
    finite = jnp.where(mass > 0, log_prob, 0)  # 0 log 0 = 0
    mean = (mass * finite).sum(axis=0)
    variance = ((mass * finite**2).sum(axis=0) - mean**2).sum() / num

    def log_prob_of_draw(key: jax.Array) -> jax.Array:
        x = model.observation.sample(params, key)
        return model.observation.log_prob(params, x)

    keys = jax.random.split(pixel_key, num)
    drawn = jax.vmap(log_prob_of_draw)(keys).mean(axis=0)
    error = jnp.sqrt(jnp.maximum(variance, 0)) + 1e-5 * (1 + jnp.abs(mean).sum())
    return [
        at_most(
            "draws from p(x | z) follow its density",
            jnp.abs((drawn - mean).sum()) / error,
            _SIGMAS,
            "standard errors",
            f"Mean log-likelihood of {num} draws for each of 8 z, against the sum over all values.",
        )
    ]


def divergence(subject: Subject) -> list[Law]:
    """Certify that the closed-form KL is the mean of log q(z | x) - log p(z) over draws from q."""
    model = subject.model
    num = 4000
    x = subject.x[:16]
    given = subject.conditions(len(x))
    mean, log_std = model.posterior(subject.variables, x, **given)
    noise = jax.random.normal(subject.key, (num, *mean.shape))  # [draws, 16, Z]
    std = jnp.exp(log_std)
    z = mean[None] + std[None] * noise
    zero = jnp.zeros(())
    log_posterior = normal_log_prob(z, mean[None], log_std[None])
    log_ratio = log_posterior - normal_log_prob(z, zero, zero)
    ratio = log_ratio.sum(axis=-1)  # [draws, 16]
    terms = model.terms(subject.variables, x, subject.key, **given)
    closed = terms.kl.sum(axis=-1)
    error = jnp.maximum(ratio.std(axis=0) / num**0.5, 1e-5 * (1 + closed))
    return [
        at_most(
            "closed-form KL = Monte Carlo KL",
            jnp.abs((ratio.mean(axis=0) - closed) / error).max(),
            _SIGMAS,
            "standard errors",
            f"The largest of 16 examples, {num} draws each.",
        ),
        at_least(
            "KL >= 0",
            closed.min(),
            -1e-5,
            "nats",
            "A divergence is never negative.",
        ),
    ]


def estimators(subject: Subject) -> list[Law]:
    """Certify that `log_weights` and `elbo`, with its closed-form KL, are of the same bound."""
    model = subject.model
    num = 2000
    chunk = 50
    x = subject.x[:16]
    given = subject.conditions(len(x))
    weights = _weights(subject, x, num)

    @jax.jit
    def closed(variables: Any, keys: jax.Array) -> jax.Array:
        return jax.lax.map(lambda key: model.elbo(variables, x, key, chunk, **given), keys)

    keys = jax.random.split(jax.random.fold_in(subject.key, 1), num // chunk)
    elbo = closed(subject.variables, keys).mean(axis=0)
    error = jnp.maximum(2**0.5 * weights.std(axis=0) / num**0.5, 1e-5 * (1 + jnp.abs(elbo)))
    return [
        at_most(
            "ELBO = E log w",
            jnp.abs((weights.mean(axis=0) - elbo) / error).max(),
            _SIGMAS,
            "standard errors",
            f"Closed-form KL against importance weights, 16 examples, {num} draws each.",
        )
    ]


def monotonicity(subject: Subject) -> list[Law]:
    """Certify ELBO = L_1 <= L_5 <= L_50 <= L_500 example by example, over the same draws."""
    weights = _weights(subject, subject.x)
    bounds = [_nested(weights, k) for k in (1, 5, 50, _SAMPLES)]
    steps = jnp.stack([high - low for low, high in pairwise(bounds)])
    scale = 1e-6 * jnp.abs(bounds[0]).max() + 1e-5  # float32 sums over many elements
    means = ", ".join(f"{float(bound.mean()):.3f}" for bound in bounds)
    return [
        at_least(
            "ELBO <= IWAE-5 <= IWAE-50 <= IWAE-500",
            steps.min(),
            -float(scale),
            "nats",
            f"The smallest step over {len(subject.x)} examples (Jensen, for every draw). "
            f"Means: {means}.",
        )
    ]


def bracket(subject: Subject) -> list[Law]:
    """Certify that the truth lies between two bounds, on data simulated from the model."""
    model = subject.model
    num = 200
    latent_key, pixel_key, draw_key = jax.random.split(subject.key, 3)
    z = model.latents(latent_key, num)
    given = subject.conditions(num)
    params = model.decoder_outputs(subject.variables, z, **given)
    x = model.observation.sample(params, pixel_key)

    simulated = Subject(subject.experiment, subject.variables, x, draw_key, given)
    low_weights = _weights(simulated, x)  # [S, num]
    mean, log_std = model.posterior(subject.variables, x, **given)
    exact = model.log_weight(subject.variables, x, z[None], mean, log_std, **given)  # [1, num]
    lower = log_mean_exp(low_weights)
    upper = log_mean_exp(jnp.concatenate([exact, low_weights[1:]]))
    error = float((upper - lower).std() / num**0.5)
    laws = [
        at_least(
            "lower bound <= upper bound of log p(x)",
            (upper - lower).mean(),
            -_SIGMAS * error,
            "nats",
            f"Over {num} examples drawn from the model, log p(x) lies between "
            f"{float(lower.mean()):.3f} and {float(upper.mean()):.3f} on average.",
        )
    ]
    if isinstance(model, Density):
        truth = model.log_prob(subject.variables, x, **given)
        laws += _exact(truth, lower, upper)
    return laws


def _exact(truth: Array, lower: Array, upper: Array) -> list[Law]:
    """Certify that a known log p(x), [B], lies inside the bracket."""
    gaps = {"IWAE-500 <= log p(x)": truth - lower, "log p(x) <= upper": upper - truth}
    laws = []
    for law, gap in gaps.items():
        error = float(gap.std() / len(truth) ** 0.5) + 1e-5
        meaning = "Against the closed form, mean over examples drawn from the model."
        laws.append(at_least(law, gap.mean(), -_SIGMAS * error, "nats", meaning))
    return laws


def _weights(subject: Subject, x: Array, num: int = _SAMPLES) -> jax.Array:
    """Return log importance weights of `num` draws for each example, [num, B]."""
    compiled = jax.jit(importance_weights, static_argnums=(0, 4))
    given = subject.conditions(len(x))
    return compiled(subject.model, subject.variables, x, subject.key, num, **given)


def _nested(weights: jax.Array, k: int) -> jax.Array:
    """Return the mean of L_k over groups of k draws, [B].

    The groups of a larger k are made of whole groups of a smaller one.
    """
    groups = weights.reshape(-1, k, weights.shape[1])  # [S, B] -> [S / k, k, B]
    return log_mean_exp(groups, axis=1).mean(axis=0)

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

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import distributions
from jaxgen.check.law import Law, Subject, at_least, at_most
from jaxgen.distributions import log_mean_exp
from jaxgen.evaluation.likelihood import importance_weights

_SAMPLES = 500
_SIGMAS = 5.0  # of a two-sided test: a false alarm once in two million


def sampling(subject: Subject) -> list[Law]:
    """Samples are finite, of the right shape, and in the range of the data."""
    sample = jax.jit(subject.model.sample, static_argnames="num")
    condition = subject.conditions(64)
    x = np.asarray(sample(subject.variables, subject.key, num=64, **condition))
    low, high = getattr(subject.model, "observation", subject.model).range
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
    """p(x | z) is a distribution at the decoder's real outputs."""
    model = subject.model
    z = jax.random.normal(subject.key, (8, model.latent_dim))
    params = model.decoder.apply(subject.variables["decoder"], z)
    points, width = model.observation.grid(params)
    total = (jnp.exp(model.observation.log_prob(params[None], points)) * width).sum(axis=0)
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
    """Draws from p(x | z) have the mean log-likelihood that its density says they have."""
    model, num = subject.model, 100
    latent_key, pixel_key = jax.random.split(subject.key)
    z = jax.random.normal(latent_key, (8, model.latent_dim))
    params = model.decoder.apply(subject.variables["decoder"], z)
    points, width = model.observation.grid(params)
    log_prob = model.observation.log_prob(params[None], points)
    mass = jnp.exp(log_prob) * width
    finite = jnp.where(mass > 0, log_prob, 0)  # 0 log 0 = 0
    mean = (mass * finite).sum(axis=0)
    variance = ((mass * finite**2).sum(axis=0) - mean**2).sum() / num
    draw = jax.vmap(
        lambda key: model.observation.log_prob(params, model.observation.sample(params, key))
    )
    drawn = draw(jax.random.split(pixel_key, num)).mean(axis=0)
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
    """The closed-form KL is the mean of log q(z | x) - log p(z) over draws from q."""
    model, num = subject.model, 4000
    x = subject.x[:16]
    mean, log_std = model.posterior(subject.variables, x)
    z = mean + jnp.exp(log_std) * jax.random.normal(subject.key, (num, *mean.shape))
    zero = jnp.zeros(())
    ratio = distributions.normal_log_prob(z, mean, log_std)
    ratio = (ratio - distributions.normal_log_prob(z, zero, zero)).sum(axis=-1)
    closed = model.terms(subject.variables, x, subject.key).kl.sum(axis=-1)
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
    """`log_weights` and `elbo`, with its closed-form KL, are of one and the same bound."""
    model, num, chunk, x = subject.model, 2000, 50, subject.x[:16]
    weights = _weights(subject, x, num)
    closed = jax.jit(lambda v, keys: jax.lax.map(lambda k: model.elbo(v, x, k, chunk), keys))
    elbo = closed(
        subject.variables, jax.random.split(jax.random.fold_in(subject.key, 1), num // chunk)
    )
    elbo = elbo.mean(axis=0)
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
    """ELBO = L_1 <= L_5 <= L_50 <= L_500, example by example, over the same draws."""
    weights = _weights(subject, subject.x)
    bounds = [_nested(weights, k) for k in (1, 5, 50, _SAMPLES)]
    steps = jnp.stack([high - low for low, high in pairwise(bounds)])
    scale = 1e-6 * jnp.abs(bounds[0]).max() + 1e-5  # float32 sums over many elements
    return [
        at_least(
            "ELBO <= IWAE-5 <= IWAE-50 <= IWAE-500",
            steps.min(),
            -float(scale),
            "nats",
            f"The smallest step over {len(subject.x)} examples (Jensen, for every draw). Means: "
            + ", ".join(f"{float(bound.mean()):.3f}" for bound in bounds)
            + ".",
        )
    ]


def bracket(subject: Subject) -> list[Law]:
    """The truth lies between a lower and an upper bound, on data simulated from the model."""
    model, num = subject.model, 200
    latent_key, pixel_key, draw_key = jax.random.split(subject.key, 3)
    z = jax.random.normal(latent_key, (num, model.latent_dim))
    params = model.decoder.apply(subject.variables["decoder"], z)
    x = model.observation.sample(params, pixel_key)
    low_weights = _weights(Subject(subject.experiment, subject.variables, x, draw_key), x)
    mean, log_std = model.posterior(subject.variables, x)
    exact = model.log_weight(subject.variables, x, z[None], mean, log_std)
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
    if hasattr(model, "log_prob"):
        laws += _exact(subject, x, lower, upper)
    return laws


def _exact(subject, x, lower, upper):
    """Where log p(x) is known: it lies inside the bracket."""
    truth = subject.model.log_prob(subject.variables, x)
    laws = []
    for law, gap in (("IWAE-500 <= log p(x)", truth - lower), ("log p(x) <= upper", upper - truth)):
        error = float(gap.std() / len(x) ** 0.5) + 1e-5
        meaning = "Against the closed form, mean over examples drawn from the model."
        laws.append(at_least(law, gap.mean(), -_SIGMAS * error, "nats", meaning))
    return laws


def _weights(subject, x, num=_SAMPLES):
    compiled = jax.jit(importance_weights, static_argnums=(0, 4))
    return compiled(subject.model, subject.variables, x, subject.key, num)


def _nested(weights, k):
    """The mean of L_k over groups of k draws, [B]; groups of a larger k hold whole smaller ones."""
    return log_mean_exp(weights.reshape(-1, k, weights.shape[1]), axis=1).mean(axis=0)

"""Laws of a bound against its parts: the decoder's distribution, the encoder and the prior alone.

Where q(z | x) is known, the bound is made anew and must be equal. Of a model of which only
`encode`, `decode` and `latents` are known, an upper bound of log p(x) is made on examples x that
the model itself makes of codes z*: for any proposal r, with z_2, ..., z_k ~ r and the weights
w(z) = p(x | z) N(z; 0, I) / r(z),

    elbo(x)  <=  IWAE(x)  <=  log p(x)  <=  E log mean(w(z*), w(z_2), ..., w(z_k))    on average,

since z* is a draw from the posterior (see `bounds.py`). No claim may be above it.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.check.capabilities import Amortised
from jaxgen.check.decoded import Decoded, likelihood
from jaxgen.check.laplace import log_evidence
from jaxgen.check.law import Law, Subject, at_most
from jaxgen.distributions import log_mean_exp
from jaxgen.typing import Batch, Encoder, Key, Variables

_SIGMAS = 5.0
_ROUNDING = 1e-5  # relative, of float32 sums over the elements of an example
_DRAWS = 2000
_CHUNK = 50
_EXAMPLES = 64
_PROPOSALS = 200
_FEW = 16
_SLACK = 1.0  # nats, of an estimate from below,
_RELATIVE_SLACK = 0.02  # and relative to it
_WIDTHS = (1.0, 0.3, 0.1, 0.03)  # standard deviations of the proposals around a code


def prior(subject: Subject) -> list[Law]:
    """Test that codes of the prior are draws from N(0, I), as the bounds take them to be."""
    return [
        at_most(
            "draws from the prior are those of N(0, I)",
            from_standard_normal(subject),
            _SIGMAS,
            "standard errors",
            f"Mean and variance of each dimension over {_DRAWS} draws; the largest deviation.",
        )
    ]


def from_standard_normal(subject: Subject) -> float:
    """Return how many standard errors the moments of the prior's draws are from (0, 1), at most."""
    z = np.asarray(subject.model.latents(subject.key, _DRAWS), np.float64)
    mean = np.abs(z.mean(axis=0)) * _DRAWS**0.5
    variance = np.abs((z**2).mean(axis=0) - 1) * (_DRAWS / 2) ** 0.5
    return float(max(mean.max(), variance.max()))


def rebuilt(subject: Subject) -> list[Law]:
    """Test the bound against one made of the decoder's distribution, q(z | x) and N(0, I) alone."""
    model = subject.model
    subject = replace(subject, x=subject.x[:_FEW])
    given = subject.conditions(len(subject.x))

    def claimed(variables: Variables, key: Key) -> jax.Array:
        return model.elbo(variables, subject.x, key, _CHUNK, **given)

    @jax.jit
    def both(variables: Variables, keys: Key) -> tuple[jax.Array, jax.Array]:
        return jax.lax.map(
            lambda key: (_log_weights(subject, variables, key), claimed(variables, key)), keys
        )

    draws, claims = both(subject.variables, jax.random.split(subject.key, _DRAWS // _CHUNK))
    weights = np.asarray(draws, np.float64).reshape(_DRAWS, -1)
    elbo = np.asarray(claims, np.float64).mean(axis=0)
    error = (2 / _DRAWS) ** 0.5 * weights.std(axis=0) + _ROUNDING * (1 + np.abs(elbo))
    return [
        at_most(
            "the bound is what its parts make",
            (np.abs(weights.mean(axis=0) - elbo) / error).max(),
            _SIGMAS,
            "standard errors",
            f"`elbo` against E[log p(x | z) + log N(z; 0, I) - log q(z | x)] of {_DRAWS} draws, "
            f"made of `posterior`, `decoder_outputs` and `observation`; {len(subject.x)} examples.",
        )
    ]


def _log_weights(subject: Subject, variables: Variables, key: Key) -> jax.Array:
    """Return log p(x, z) - log q(z | x) of the parts, for draws from q(z | x), [S, B]."""
    model = subject.model
    num = len(subject.x)
    given = subject.conditions(num)
    mean, log_std = model.posterior(variables, subject.x, **given)
    noise = jax.random.normal(key, (_CHUNK, *mean.shape))  # [S, B, Z]
    z = mean[None] + jnp.exp(log_std)[None] * noise
    # [S, B, ...] -> [S * B, ...], of all that the decoder takes
    repeated = jnp.concatenate([subject.x] * _CHUNK)
    of_draws = {name: jnp.concatenate([value] * _CHUNK) for name, value in given.items()}
    params = model.decoder_outputs(variables, z.reshape(-1, z.shape[-1]), **of_draws)
    of_elements = model.observation.log_prob(params, repeated)
    likelihood = of_elements.reshape(_CHUNK, num, -1).sum(axis=-1)
    # log N(z; 0, I) - log N(z; mean, std): the constants cancel
    ratio = (noise**2 - z**2).sum(axis=-1) / 2 + log_std.sum(axis=-1)[None]
    return likelihood + ratio


def overstated(subject: Subject) -> list[Law]:
    """Test that neither bound is above an upper bound of log p(x) made of the parts alone."""
    model = subject.model
    decoded = likelihood(subject)
    if isinstance(model, Amortised) or decoded is None:
        return []
    z_key, x_key, draw_key, claim_key = jax.random.split(subject.key, 4)
    given = subject.conditions(_EXAMPLES)
    z = model.latents(z_key, _EXAMPLES)
    x = decoded.draw(subject.variables, z, x_key, given)

    @jax.jit
    def claimed(
        variables: Variables,
        key: Key,
    ) -> tuple[jax.Array, jax.Array]:
        weights = model.log_weights(variables, x, key, _CHUNK, **given)
        return model.elbo(variables, x, key, _CHUNK, **given), log_mean_exp(weights)

    elbo, iwae = claimed(subject.variables, claim_key)
    upper = _upper_bound(subject, decoded, z, x, draw_key)
    laws = [_not_above(name, found, upper) for name, found in (("elbo", elbo), ("IWAE", iwae))]
    if isinstance(model, Encoder):
        laws.append(_near_its_codes(subject, decoded))
    return laws


def _not_above(
    name: str,
    found: jax.Array,
    upper: np.ndarray,
) -> Law:
    excess = np.asarray(found, np.float64) - upper
    error = excess.std() / _EXAMPLES**0.5 + _ROUNDING * (1 + np.abs(upper).mean())
    return at_most(
        f"{name} <= log p(x), by its parts",
        excess.mean() / error,
        _SIGMAS,
        "standard errors",
        f"Over {_EXAMPLES} examples that the model made it claims {np.mean(found):.3f} nats; "
        f"`decode` and the prior allow {upper.mean():.3f}.",
    )


def _upper_bound(
    subject: Subject,
    decoded: Decoded,
    true: jax.Array,
    x: jax.Array,
    key: Key,
) -> np.ndarray:
    """Return the upper bound of log p(x) of examples that were made of the codes `true`, [N].

    Proposals are a mixture of N(0, I) and of normal distributions around the examples' codes.
    """
    model = subject.model
    given = subject.conditions(len(x))
    centres = jnp.zeros((1, *true.shape))  # of the mixture's M members, [M, N, Z]
    widths = [1.0]
    if isinstance(model, Encoder):
        code = model.encode(subject.variables, x, **given)
        centres = jnp.concatenate([centres, *([code[None]] * len(_WIDTHS))])
        widths += _WIDTHS
    scales = jnp.asarray(widths)[:, None, None]

    @jax.jit
    def log_weight(
        variables: Variables,
        z: jax.Array,
    ) -> jax.Array:
        squares = jnp.square((z[None] - centres) / scales) / 2 + jnp.log(scales)  # [M, N, Z]
        proposal = jax.nn.logsumexp(-squares.sum(axis=-1), axis=0) - jnp.log(len(widths))
        prior = -jnp.square(z).sum(axis=-1) / 2  # less the same constant as the proposal's
        return decoded.log_prob(variables, z, x, given) + prior - proposal

    @jax.jit
    def weight_of_draw(
        variables: Variables,
        key: Key,
    ) -> jax.Array:
        which_key, noise_key = jax.random.split(key)
        which = jax.random.randint(which_key, (len(x),), 0, len(widths))
        noise = jax.random.normal(noise_key, true.shape)
        drawn = centres[which, jnp.arange(len(x))] + scales[which, 0] * noise
        return log_weight(variables, drawn)

    weights = [log_weight(subject.variables, true)]
    for draw in jax.random.split(key, _PROPOSALS):
        weights.append(weight_of_draw(subject.variables, draw))
    return np.asarray(log_mean_exp(jnp.stack(weights)), np.float64)


def _near_its_codes(
    subject: Subject,
    decoded: Decoded,
) -> Law:
    """Test the bound on the data themselves against importance sampling around their codes.

    Whatever a q(z | x) around the code claims lies in there.
    """
    model = subject.model
    x = subject.x[:_FEW]
    given = subject.conditions(len(x))

    def estimate(one: tuple[jax.Array, jax.Array, Batch, Key]) -> jax.Array:
        code, example, condition, key = one
        fields = {name: value[None] for name, value in condition.items()}

        def log_joint(z: jax.Array) -> jax.Array:
            likelihood = decoded.log_prob(subject.variables, z[None], example[None], fields)
            return likelihood[0] - jnp.square(z).sum() / 2

        return log_evidence(log_joint, code, key, _DRAWS)

    @jax.jit
    def estimates(
        code: jax.Array,
        keys: Key,
    ) -> jax.Array:
        return jax.lax.map(estimate, (code, x, given, keys))

    code = jnp.asarray(model.encode(subject.variables, x, **given))
    keys = jax.random.split(subject.key, len(x))
    found = np.asarray(estimates(code, keys), np.float64)
    elbo = model.elbo(subject.variables, x, subject.key, _CHUNK, **given)
    excess = np.asarray(elbo, np.float64) - found
    return at_most(
        "elbo <= log p(x) of the data, by its parts",
        excess.mean(),
        _SLACK + _RELATIVE_SLACK * np.abs(found).mean(),
        "nats",
        f"Against {_DRAWS} importance samples around `encode(x)`, which make log p(x) about "
        f"{found.mean():.3f}; {len(x)} examples.",
    )

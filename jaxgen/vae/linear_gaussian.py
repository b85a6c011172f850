"""The linear-Gaussian VAE and the closed form that it must reach: probabilistic PCA.

With a linear decoder and one noise scale the marginal likelihood is known,

    x = W z + b + s e,  z, e ~ N(0, I)   =>   p(x) = N(x; b, C),  C = W W^T + s^2 I,

and so is its maximum (S the data's covariance, eigenvalues l_1 >= ... >= l_D, eigenvectors U):

    s^2 = mean of l_{K+1} .. l_D,   W = U_K (diag(l_1 .. l_K) - s^2 I)^(1/2) R.

The posterior's covariance s^2 (W^T W + s^2 I)^-1 is diagonal for R = I, so that an encoder with a
diagonal covariance closes the gap: the ELBO's optimum is the closed-form likelihood.

Tipping & Bishop, 1999, "Probabilistic principal component analysis", equations 6 to 9.
"""

from dataclasses import dataclass
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.distributions import LOG_2PI
from jaxgen.errors import ConfigError
from jaxgen.observation import Gaussian
from jaxgen.train import Player, Variables
from jaxgen.typing import Array
from jaxgen.vae import vae
from jaxgen.vae.vae import VAE


class LinearGaussian(NamedTuple):
    """x = W z + b + s e."""

    weight: Float[Array, "d k"]
    bias: Float[Array, " d"]
    std: Float[Array, ""]


def fit(x: Float[Array, "n d"], latent_dim: int) -> LinearGaussian:
    """The maximum-likelihood probabilistic PCA of the data, in closed form, with R = I."""
    if not 0 < latent_dim < x.shape[1]:
        raise ConfigError(f"latent_dim: got {latent_dim}, expected 1 .. {x.shape[1] - 1}")
    bias = x.mean(axis=0)
    values, vectors = jnp.linalg.eigh(jnp.cov(x.T, bias=True))
    variance = values[:-latent_dim].mean()
    leading = jnp.sqrt(jnp.maximum(values[-latent_dim:] - variance, 0))
    return LinearGaussian(vectors[:, -latent_dim:] * leading, bias, jnp.sqrt(variance))


def marginal_log_prob(model: LinearGaussian, x: Float[Array, "b d"]) -> Float[Array, " b"]:
    """log N(x; b, W W^T + s^2 I), in nats."""
    dim = model.bias.shape[0]
    covariance = model.weight @ model.weight.T + model.std**2 * jnp.eye(dim)
    factor = jnp.linalg.cholesky(covariance)
    whitened = jax.scipy.linalg.solve_triangular(factor, (x - model.bias).T, lower=True)
    log_det = 2 * jnp.log(jnp.diag(factor)).sum()
    return -0.5 * ((whitened**2).sum(axis=0) + log_det + dim * LOG_2PI)


@dataclass(frozen=True)
class LinearGaussianVAE:
    """A VAE whose marginal likelihood is known: it has `log_prob` beside `elbo` and `iwae`.

    Attributes:
      shape: (D,).
      latent_dim: K.
      encoder: as in `VAE`.
      decoder: a linear `MLPDecoder` with `shared_scale`.
    """

    shape: tuple[int, ...]
    latent_dim: int
    encoder: nn.Module
    decoder: nn.Module

    observation, beta, warmup_steps, free_bits = Gaussian(), 1.0, 0, 0.0

    # The networks, the bounds and the sampler are the VAE's own functions.
    init, sample, vae_loss = VAE.init, VAE.sample, VAE.vae_loss
    posterior, encode, decode, reconstruct = VAE.posterior, VAE.encode, VAE.decode, VAE.reconstruct
    log_likelihood, log_weight, log_weights = VAE.log_likelihood, VAE.log_weight, VAE.log_weights
    terms, elbo, iwae = VAE.terms, VAE.elbo, VAE.iwae

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player, who owns both networks."""
        return (Player("vae", ("encoder", "decoder"), self.vae_loss, tx),)

    def linear_gaussian(self, variables: Variables) -> LinearGaussian:
        """The decoder as (W, b, s), read off its values at 0 and at the unit vectors."""
        points = jnp.concatenate([jnp.zeros((1, self.latent_dim)), jnp.eye(self.latent_dim)])
        params = self.decoder.apply(variables["decoder"], points)
        bias = params[0, :, 0]
        return LinearGaussian((params[1:, :, 0] - bias).T, bias, jnp.exp(params[0, 0, 1]))

    def log_prob(self, variables: Variables, x: Float[Array, "b d"]) -> Float[Array, " b"]:
        """The exact log-density per example, in nats."""
        return marginal_log_prob(self.linear_gaussian(variables), x)


def linear(shape: tuple[int, ...], *, latent_dim: int, dtype: str = "float32") -> LinearGaussianVAE:
    """A linear-Gaussian VAE for vectors of `shape` (D,)."""
    if len(shape) != 1:
        raise ConfigError(f"a linear-Gaussian model is for vectors [D], not {list(shape)}")
    model = vae.mlp(
        shape,
        latent_dim=latent_dim,
        hidden=(),
        observation=Gaussian(),
        shared_scale=True,
        dtype=dtype,
    )
    return LinearGaussianVAE(shape, latent_dim, model.encoder, model.decoder)

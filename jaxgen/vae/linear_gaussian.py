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
from typing import NamedTuple, final

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.distributions import LOG_2PI
from jaxgen.distributions.observation import Gaussian
from jaxgen.errors import ConfigError
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables
from jaxgen.vae import vae
from jaxgen.vae.base import LatentVariableModel, negative_elbo


class LinearGaussian(NamedTuple):
    """The parameters of x = W z + b + s e."""

    weight: Float[Array, "d k"]
    bias: Float[Array, " d"]
    std: Float[Array, ""]


def fit(x: Float[Array, "n d"], latent_dim: int) -> LinearGaussian:
    """Fit the maximum-likelihood probabilistic PCA of the data, in closed form, with R = I."""
    if not 0 < latent_dim < x.shape[1]:
        raise ConfigError(f"latent_dim: got {latent_dim}, expected 1 .. {x.shape[1] - 1}")
    bias = x.mean(axis=0)
    covariance = jnp.cov(x.T, bias=True)
    values, vectors = jnp.linalg.eigh(covariance)  # in rising order
    variance = values[:-latent_dim].mean()
    # Rounding can take an eigenvalue below the mean of the smaller ones.
    lengths = jnp.sqrt(jnp.maximum(values[-latent_dim:] - variance, 0))
    weight = vectors[:, -latent_dim:] * lengths[None]
    return LinearGaussian(weight, bias, jnp.sqrt(variance))


def marginal_log_prob(model: LinearGaussian, x: Float[Array, "b d"]) -> Float[Array, " b"]:
    """Return log N(x; b, W W^T + s^2 I), in nats."""
    dim = model.bias.shape[0]
    covariance = model.weight @ model.weight.T + model.std**2 * jnp.eye(dim)
    factor = jnp.linalg.cholesky(covariance)
    whitened = jax.scipy.linalg.solve_triangular(factor, (x - model.bias[None]).T, lower=True)
    log_det = 2 * jnp.log(jnp.diag(factor)).sum()
    distance = (whitened**2).sum(axis=0)
    return -0.5 * (distance + log_det + dim * LOG_2PI)


@final
@dataclass(frozen=True)
class LinearGaussianVAE(LatentVariableModel):
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

    @property
    def observation(self) -> Gaussian:
        """The meaning of the decoder's outputs: a mean and a log standard deviation."""
        return Gaussian()

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player, who owns both networks."""
        return (Player("vae", ("encoder", "decoder"), self.vae_loss, tx),)

    def vae_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the negative ELBO, mean over the batch."""
        terms = self.terms(variables, batch["image"], key)
        loss, metrics = negative_elbo(terms)
        return loss, (metrics, {})

    def linear_gaussian(self, variables: Variables) -> LinearGaussian:
        """Return the decoder as (W, b, s), read off its values at 0 and at the unit vectors."""
        origin = jnp.zeros((1, self.latent_dim))
        unit_vectors = jnp.eye(self.latent_dim)
        params = self.decoder_outputs(variables, jnp.concatenate([origin, unit_vectors]))
        means = params[..., 0]  # [1 + K, D]
        log_std = params[0, 0, 1]  # one for all elements
        bias = means[0]
        weight = (means[1:] - bias[None]).T
        return LinearGaussian(weight, bias, jnp.exp(log_std))

    def log_prob(self, variables: Variables, x: Float[Array, "b d"]) -> Float[Array, " b"]:
        """Return the exact log-density per example, in nats."""
        return marginal_log_prob(self.linear_gaussian(variables), x)


def linear(shape: tuple[int, ...], *, latent_dim: int, dtype: str = "float32") -> LinearGaussianVAE:
    """Build a linear-Gaussian VAE for vectors of `shape` (D,)."""
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

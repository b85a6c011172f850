"""Encoders x -> z of three kinds, each a network over one trunk of features h(x).

    deterministic   z = A h(x)
    Gaussian        z = m(h) + s(h) epsilon,  epsilon ~ N(0, I)
    universal       z = f(h, eta),            eta ~ N(0, I)

The last draws from a distribution of any form, whose density nobody knows: to be matched to a prior
draws are enough. In training every kind draws; else epsilon = eta = 0, which is the one code of x.
An adversary matches the mean of q(z | x) over the data, so that q(z | x) may be a point.

Makhzani et al., 2016, "Adversarial autoencoders" (arXiv 1511.05644), section 2.1.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.nn import MLP
from jaxgen.typing import Array


class DeterministicEncoder(nn.Module):
    """A linear map of features, [B, *shape] -> [B, Z].

    Attributes:
      trunk: (x, train) -> features [B, F].
      latent_dim: Z.
    """

    trunk: nn.Module
    latent_dim: int

    @nn.compact
    def __call__(self, x: Float[Array, "b ..."], *, train: bool) -> Float[Array, "b z"]:
        """Return the code of each example."""
        return nn.Dense(self.latent_dim)(self.trunk(x, train=train))


class GaussianEncoder(nn.Module):
    """A mean and a standard deviation of features, [B, *shape] -> [B, Z].

    Attributes:
      trunk: (x, train) -> features [B, F].
      latent_dim: Z.
    """

    trunk: nn.Module
    latent_dim: int

    @nn.compact
    def __call__(self, x: Float[Array, "b ..."], *, train: bool) -> Float[Array, "b z"]:
        """Return a draw for each example in training, else the mean."""
        features = self.trunk(x, train=train)
        mean = nn.Dense(self.latent_dim)(features)
        # Features without a bound, exponentiated: the kernel begins at zero, and the scale at 1.
        log_std = nn.Dense(self.latent_dim, kernel_init=nn.initializers.zeros)(features)
        if not train:
            return mean
        noise = jax.random.normal(self.make_rng("noise"), mean.shape, mean.dtype)
        return mean + jnp.exp(log_std) * noise


class UniversalEncoder(nn.Module):
    """A network of features and noise, [B, *shape] -> [B, Z].

    Attributes:
      trunk: (x, train) -> features [B, F].
      latent_dim: Z.
      num_noise: how many numbers are drawn for each example.
      hidden: widths of the hidden layers that see the noise.
      activation: of these.
      dtype: what to compute in.
    """

    trunk: nn.Module
    latent_dim: int
    num_noise: int = 10
    hidden: tuple[int, ...] = (100,)
    activation: str = "relu"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "b ..."], *, train: bool) -> Float[Array, "b z"]:
        """Return a draw for each example in training, else the code without noise."""
        features = self.trunk(x, train=train)
        noise = jnp.zeros((len(features), self.num_noise), features.dtype)
        if train:
            noise = jax.random.normal(self.make_rng("noise"), noise.shape, noise.dtype)
        joined = jnp.concatenate([features, noise], axis=-1)
        return MLP(self.hidden, self.latent_dim, self.activation, dtype=self.dtype)(joined)

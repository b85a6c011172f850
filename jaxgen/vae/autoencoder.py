"""The plain autoencoder: the contrast to the VAE, not a generative model.

    minimise  E || x - g(f(x)) ||^2

Nothing ties the codes f(x) to a prior, so decoding z ~ N(0, I) means nothing: it has no `sample`.
A linear one spans the principal subspace of the data.

Rumelhart, Hinton & Williams, 1986; Bourlard & Kamp, 1988, for the linear case.
"""

import math
from dataclasses import dataclass
from typing import final

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.arguments import require_positive
from jaxgen.nn import MLP
from jaxgen.precision import kept
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables
from jaxgen.vae.networks import MLPDecoder


@final
@dataclass(frozen=True)
class Autoencoder:
    """An encoder and a decoder, trained on the squared error.

    Attributes:
      shape: of one example.
      latent_dim: Z.
      encoder: flattened x [B, D] -> code [B, Z].
      decoder: code [..., Z] -> [..., *shape, 1].
    """

    shape: tuple[int, ...]
    latent_dim: int
    encoder: nn.Module
    decoder: nn.Module

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'encoder', 'decoder'}."""
        encoder_key, decoder_key = jax.random.split(key)
        flat = jnp.zeros((1, math.prod(self.shape)))
        code = jnp.zeros((1, self.latent_dim))
        return {
            "encoder": kept(self.encoder, self.encoder.init(encoder_key, flat)),
            "decoder": kept(self.decoder, self.decoder.init(decoder_key, code)),
        }

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player, who owns both networks."""
        return (Player("autoencoder", ("encoder", "decoder"), self.autoencoder_loss, tx),)

    def autoencoder_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the squared error, summed over the elements of an example, mean over the batch."""
        del key  # nothing is random here
        return self.squared_error(variables, batch["image"]).mean(), ({}, {})

    def squared_error(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[jax.Array, " b"]:
        """Return || x - g(f(x)) ||^2 per example."""
        difference = x - self.reconstruct(variables, x)
        return (difference**2).reshape(x.shape[0], -1).sum(axis=-1)

    def encode(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, "b z"]:
        """Return the code f(x)."""
        flat = x.reshape(x.shape[0], -1)  # [B, *shape] -> [B, D]
        return jnp.asarray(self.encoder.apply(variables["encoder"], flat))

    def decode(self, variables: Variables, z: Float[Array, "... z"]) -> Float[Array, "..."]:
        """Return g(z), [..., *shape]."""
        params = jnp.asarray(self.decoder.apply(variables["decoder"], z))
        return params[..., 0]  # [..., *shape, 1] -> [..., *shape]

    def reconstruct(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, "b ..."]:
        """Return the decoded encoding of x."""
        return self.decode(variables, self.encode(variables, x))


def mlp(
    shape: tuple[int, ...],
    *,
    latent_dim: int = 20,
    hidden: tuple[int, ...] = (400,),
    activation: str = "tanh",
    dtype: str = "float32",
) -> Autoencoder:
    """Build an autoencoder of two MLPs; `hidden=()` makes it linear. Arguments as in `vae.mlp`."""
    require_positive(latent_dim=latent_dim, hidden=hidden)
    encoder = MLP(hidden, latent_dim, activation, dtype)
    decoder = MLPDecoder(hidden[::-1], shape, 1, False, activation, dtype)
    return Autoencoder(shape, latent_dim, encoder, decoder)

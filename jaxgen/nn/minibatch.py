"""Layers that let a discriminator compare the examples of a batch.

Minibatch discrimination: features f(x_i) [A] times a tensor T [A, K, C] give K points M_ik in R^C,
and o(x_i)_k = sum over j != i of exp(-|M_ik - M_jk|_1) says how near the others are; [f, o] goes
on. Salimans et al., 2016, "Improved techniques for training GANs" (arXiv 1606.03498), section 3.2.

*Differs from the paper:* its sum has the term j = i, a constant 1 that the next bias takes up. Its
code starts from distances scaled by the data; here T starts from N(0, scale).
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.typing import Array


class MinibatchDiscrimination(nn.Module):
    """A layer [B, A] -> [B, A + kernels]. Real and fake batches must pass apart.

    Attributes:
      kernels: K.
      dim: C, of the points.
      scale: standard deviation of T at the start.
    """

    kernels: int = 100
    dim: int = 5
    scale: float = 0.05

    @nn.compact
    def __call__(self, features: Float[Array, "b a"]) -> Float[Array, "b a2"]:
        """Append the nearness to the rest of the batch."""
        shape = (features.shape[-1], self.kernels, self.dim)
        tensor = self.param("T", nn.initializers.normal(self.scale), shape)
        points = jnp.einsum("ba,akc->bkc", features, tensor)  # M of the paper
        return jnp.concatenate([features, nearness(points)], axis=-1)


def nearness(points: Float[Array, "b k c"]) -> Float[Array, "b k"]:
    """Return the sum over j != i of exp(-|M_ik - M_jk|_1)."""
    differences = points[:, None] - points[None]  # [B, 1, K, C] - [1, B, K, C]
    distances = jnp.abs(differences).sum(axis=-1)  # [B, B, K]
    return jnp.exp(-distances).sum(axis=1) - 1.0  # itself

"""Normalisation by a reference batch, so that an output does not depend on the rest of its batch.

Reference batch normalisation takes mean and variance from a fixed batch r_1 .. r_n, passed through
the network again at each step; virtual batch normalisation counts the example itself as one more:

    c = 1 / (n + 1),   mean = c m(x) + (1 - c) m_ref,   square = c m2(x) + (1 - c) m2_ref,
    y = gamma (x - mean) / sqrt(square - mean^2 + 1e-5) + beta,

with m(x) and m2(x) the means of one example over space. The reference batch itself is normalised by
its own statistics. Gradients flow through all of them.

Salimans et al., 2016, "Improved techniques for training GANs" (arXiv 1606.03498), section 3.4.
"""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.nn.bias import add_bias
from jaxgen.typing import Array

EPSILON = 1e-5


class ReferenceNorm(nn.Module):
    """Normalisation of [N + B, ..., C]; the first N rows are the reference batch.

    Attributes:
      num_reference: N.
      virtual: count each example with the reference batch (VBN); else the reference alone (RBN).
    """

    num_reference: int
    virtual: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "b ... c"]) -> Float[Array, "b ... c"]:
        """Normalise the reference batch by itself, every other row as the paper says."""
        gamma = self.param("scale", nn.initializers.ones, x.shape[-1:])
        beta = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        space = tuple(range(1, x.ndim - 1))
        mean = x.mean(axis=space, keepdims=True)
        square = jnp.square(x).mean(axis=space, keepdims=True)
        n = self.num_reference
        own = 1 / (n + 1) if self.virtual else 0.0  # c of the paper

        def joined(moment: jax.Array) -> jax.Array:
            # [N + B, 1, ..., C]: the mean over the reference batch, and for the rest its mixture
            # with the moment of each example.
            reference = moment[:n].mean(axis=0, keepdims=True)
            rest = own * moment[n:] + (1 - own) * reference
            return jnp.concatenate([jnp.broadcast_to(reference, moment[:n].shape), rest])

        mean = joined(mean)
        square = joined(square)
        variance = jnp.maximum(square - jnp.square(mean), 0.0)  # rounding can take it below 0
        gamma = jax.lax.broadcast_to_rank(gamma, x.ndim)  # [C] -> [1, ..., C]
        normalized = gamma * (x - mean) * jax.lax.rsqrt(variance + EPSILON)
        return add_bias(normalized, beta)


class WithReference(nn.Module):
    """A generator whose `ReferenceNorm` layers see a fixed batch of noise before the actual one.

    Attributes:
      network: (z [N + B, Z], train) -> [N + B, ...].
      num_reference: N.
    """

    network: nn.Module
    num_reference: int

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest value of the network's samples."""
        return self.network.range

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "b z"],
        *,
        train: bool,
    ) -> Float[Array, "b ..."]:
        """Return the network's outputs on z; the reference noise is drawn at initialisation."""

        def draw() -> jax.Array:
            shape = (self.num_reference, z.shape[-1])
            return jax.random.normal(self.make_rng("params"), shape)

        reference = self.variable("reference", "z", draw).value
        both = jnp.concatenate([reference, z])  # [N + B, Z]
        return self.network(both, train=train)[self.num_reference :]


Norm = Literal["none", "batch", "virtual", "reference"]


def normalize(
    x: Float[Array, "b ... c"],
    norm: Norm,
    *,
    train: bool,
    num_reference: int = 0,
) -> Array:
    """Apply the layer of that name; to be called inside a compact module.

    Batch normalisation keeps 0.9 of its running statistics a step.
    """
    match norm:
        case "batch":
            return nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        case "virtual" | "reference":
            return ReferenceNorm(num_reference, virtual=norm == "virtual")(x)
        case _:
            return x

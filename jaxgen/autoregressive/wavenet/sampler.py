"""Sampling from a WaveNet sample by sample, without computing anything twice.

At time t a convolution of delay d reads its input at t and at t - d. Of all inputs before t it
will need the last d, which it keeps in a ring: the input of time t has its place at t % d, where
until then that of t - d has been, the one that is read. For d = 4:

    t    place    ring before      read    written
    4    0        h0 h1 h2 h3      h0      h4 over it
    5    1        h4 h1 h2 h3      h1      h5 over it
    6    2        h4 h5 h2 h3      h2      h6 over it

Before the first sample the rings are zeros, as the delays of whole sequences begin with zeros.

Le Paine et al., 2016, "Fast WaveNet generation algorithm" (arXiv 1611.09482).
"""

from dataclasses import dataclass
from typing import Any, cast, final

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.autoregressive.base import Choose
from jaxgen.autoregressive.wavenet.dilated import DilatedStack, one_hot
from jaxgen.precision import at_least_float32
from jaxgen.typing import Array

Carry = tuple[Array, tuple[Array, ...]]  # the last sample [B, V]; a ring [d, B, F] a convolution


@final
@dataclass(frozen=True)
class WaveNetSampler:
    """A sampler of sequences.

    Attributes:
      network: from the last code, and what is recalled, to logits.
      variables: of the network.
      choose: gives the values of a sample from its logits.
    """

    network: DilatedStack
    variables: Any
    choose: Choose

    def sample(
        self,
        num: int,
        length: int,
        given: Float[Array, "b t g"] | None,
    ) -> Float[jax.Array, "b t"]:
        """Return `num` sequences of that length, under the conditions at every time."""
        # no code at all
        silence = at_least_float32(jnp.zeros((num, self.network.levels), self.network.dtype))
        given_of_times = None if given is None else given.swapaxes(0, 1)  # [T, B, G]
        times = (jnp.arange(length), given_of_times)
        start: Carry = (silence, self._empty_rings(num))
        _, values = jax.lax.scan(self._draw, start, times)
        return jnp.transpose(values)  # [T, B] -> [B, T]

    def _empty_rings(self, num: int) -> tuple[Array, ...]:
        """Return a ring of zeros for each convolution, [d, B, F]."""
        features = self.network.features
        dtype = self.network.dtype
        return tuple(jnp.zeros((delay, num, features), dtype) for delay in self.network.delays)

    def _draw(
        self,
        carry: Carry,
        at: tuple[Array, Array | None],
    ) -> tuple[Carry, Array]:
        """Draw the sample of one time, [B]."""
        x, before = carry
        t, given = at  # [], [B, G]
        rings = list(before)

        def recall(i: int, h: Array) -> jax.Array:
            # The ring as it was gives the input of d samples before; its place is overwritten.
            place = t % self.network.delays[i]
            ring = rings[i]
            rings[i] = jax.lax.dynamic_update_index_in_dim(ring, h, place, 0)
            return jax.lax.dynamic_index_in_dim(ring, place, 0, keepdims=False)

        logits = cast(Array, self.network.apply(self.variables, x, recall, given))
        value = self.choose(t, logits)
        return (one_hot(value, self.network.levels), tuple(rings)), value

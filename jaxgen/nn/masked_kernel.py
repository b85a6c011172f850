"""A module's kernel under a mask of any form; masked convolutions: `masked.py`."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def masked_kernel(
    module: nn.Module, name: str, mask: np.ndarray, batch_axis: tuple[int, ...] = ()
) -> jax.Array:
    """A kernel of the module, zero where the mask is False, in the module's dtype.

    Args:
      module: with a field `dtype`; in its compact method.
      name: of the parameter.
      mask: bool [..., inputs, outputs].
      batch_axis: axes over which there are several kernels, rather than the taps of one.
    """
    initial = nn.initializers.lecun_normal(batch_axis=batch_axis)
    kernel = module.param(name, initial, mask.shape)
    return jnp.where(mask, kernel, 0).astype(module.dtype)

"""Precision: what a network computes in, what it keeps, and what it gives.

A network computes in its field `dtype`, where it has one. It keeps parameters and statistics in
float32, or in float64 if that is what it computes in, and gives outputs likewise: bfloat16 is for
the layers between. One without the field follows JAX: float64 where `jax_enable_x64` is set.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jaxgen.typing import Array


def at_least_float32(x: Array) -> jax.Array:
    """Return the numbers in float32 if they have fewer bits, else as they are."""
    return jnp.asarray(x).astype(jnp.promote_types(x.dtype, jnp.float32))


def kept(network: Any, variables: Any) -> Any:
    """Return fresh variables in the precision that a network keeps them in.

    Layers of Flax begin in float32 whatever the network computes in.

    Args:
      network: a module, or a dataclass that holds the field `dtype` or modules that do.
      variables: {collection: values}, or values alone.
    """
    dtype = jnp.dtype(jnp.result_type(float))
    stated = list(_stated(network))
    if stated:
        dtype = jax.dtypes.canonicalize_dtype(jnp.float32)
    for name in stated:
        dtype = jnp.promote_types(dtype, jax.dtypes.canonicalize_dtype(name))

    def cast(leaf: jax.Array) -> jax.Array:
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(cast, variables)


def _stated(part: Any) -> Iterator[str]:
    """Yield the dtypes that a network and the parts it is made of name."""
    if isinstance(part, tuple):
        for item in part:
            yield from _stated(item)
    if not dataclasses.is_dataclass(part):
        return
    for field in dataclasses.fields(part):
        value = getattr(part, field.name, None)
        if field.name == "dtype" and isinstance(value, str):
            yield value
        elif field.name not in ("parent", "name"):
            yield from _stated(value)

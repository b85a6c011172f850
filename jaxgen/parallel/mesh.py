"""The devices as a mesh, and how arrays are laid out on it.

The mesh has one axis. A state is replicated, a batch is cut along its examples:

    devices      0        1        2        3
    state      whole    whole    whole    whole
    batch      0..B/4   ..B/2    ..3B/4   ..B
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxgen.errors import ConfigError
from jaxgen.parallel.processes import is_one_of_several

AXIS = "data"


def device_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """Return a mesh of one axis over `devices` (default: all).

    Its axes are Auto, as Flax expects: with Explicit axes a sharded batch would clash with
    replicated noise.
    """
    chosen = devices if devices is not None else jax.devices()
    return Mesh(np.array(chosen), (AXIS,))


def require_divisible(batch_size: int, num_devices: int) -> None:
    """Require that the batch can be shared out over the devices.

    Raises:
      ConfigError: it cannot; the message names the nearest valid sizes.
    """
    if batch_size % num_devices:
        below = batch_size // num_devices * num_devices
        near = f"{below} or {below + num_devices}" if below else f"{num_devices}"
        raise ConfigError(
            f"batch size {batch_size} is not divisible by {num_devices} devices.\n"
            f"Try: --batch-size {near}"
        )


def leading_length(tree: Any) -> int:
    """Return the length of the first axis, which all arrays of the tree have in common."""
    return int(jax.tree.leaves(tree)[0].shape[0])


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copy `tree`, the same in every process, to every device of the mesh."""
    return _spread(tree, NamedSharding(mesh, PartitionSpec()))


def shard(items: Any, mesh: Mesh) -> Any:
    """Spread arrays [K, B, ...], the same in every process, along B."""
    return _spread(items, NamedSharding(mesh, PartitionSpec(None, AXIS)))


def local(tree: Any) -> Any:
    """Return replicated arrays as ones that this process alone may compute with."""
    if not is_one_of_several():
        return tree
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def _spread(tree: Any, sharding: NamedSharding) -> Any:
    """Lay a tree of arrays out as the sharding says, over the devices of all processes."""
    if not is_one_of_several():
        return jax.device_put(tree, sharding)

    def place(leaf: Any) -> jax.Array:
        # Each process hands over the parts that lie on its own devices.
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = place(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(place, tree)

"""Variables and passes of networks whose call takes `train`, whatever collections they have."""

from typing import Any

import flax.linen as nn
import jax

from jaxgen.precision import kept
from jaxgen.typing import Array, Key


def init_variables(network: nn.Module, key: Key, *inputs: Array) -> dict[str, Any]:
    """Return fresh variables of a network, {collection: values}."""
    params_key, noise_key = jax.random.split(key)
    rngs = {"params": params_key, "noise": noise_key}
    return dict(kept(network, network.init(rngs, *inputs, train=False)))


def train_pass(
    network: nn.Module, variables: Any, *inputs: Array, key: Key
) -> tuple[Any, dict[str, Any]]:
    """Apply a network in training mode.

    Args:
      network: its call takes `train`.
      variables: {collection: values}.
      *inputs: of the call.
      key: of dropout and of noise on activations.

    Returns:
      The outputs, and the new values of all collections but the parameters.
    """
    collections = [name for name in variables if name != "params"]
    outputs, mutated = network.apply(
        variables, *inputs, train=True, mutable=collections, rngs={"noise": key}
    )
    return outputs, dict(mutated)


def evaluation_pass(network: nn.Module, variables: Any, *inputs: Array) -> Any:
    """Apply a network by its running statistics and without noise, and return the outputs."""
    return network.apply(variables, *inputs, train=False)

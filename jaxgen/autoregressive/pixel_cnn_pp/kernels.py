"""The origins of PixelCNN++'s kernels: training, a fresh start, or ones to find the field.

The layers (`layers.py`) say which kernel they want, by name and shape, and how the maps respond to
it; a `Source` answers with the outputs. So the layers are written once for three uses.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, final, runtime_checkable

import jax.numpy as jnp

from jaxgen.nn import add_bias, shifted
from jaxgen.typing import Array

Weights = dict[str, dict[str, Array]]  # {layer: {'kernel', 'bias'} or {'table'}}
Respond = Callable[[Array], Array]  # from a kernel to the outputs, without a bias


@runtime_checkable
class Source(Protocol):
    """The origin of kernels."""

    def linear(
        self,
        name: str,
        shape: tuple[int, ...],
        respond: Respond,
        gain: float,
    ) -> Array:
        """Return respond(kernel) + bias for the kernel of that name, [*shape]."""
        ...

    def table(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return a table with a row for each class, [*shape]."""
        ...


@final
@dataclass(frozen=True)
class TrainedKernels:
    """Kernels and biases by name."""

    weights: Weights

    def linear(
        self,
        name: str,
        shape: tuple[int, ...],
        respond: Respond,
        gain: float,
    ) -> Array:
        """Return the outputs of the kernel of that name, with its bias."""
        del shape, gain
        entry = self.weights[name]
        return add_bias(respond(entry["kernel"]), entry["bias"])

    def table(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return the table of that name."""
        del shape
        return self.weights[name]["table"]


@final
@dataclass
class FreshKernels:
    """A source that makes parameters as they are asked for, scaled by the outputs they give.

    The noise is drawn at once and dealt out: a draw for each kernel takes as long to compile as the
    network.
    """

    noise: Array | None  # None to count how much is wanted
    dtype: Any  # of what is made
    made: Weights = field(default_factory=dict)
    dealt: int = 0

    def linear(
        self,
        name: str,
        shape: tuple[int, ...],
        respond: Respond,
        gain: float,
    ) -> Array:
        """Return the outputs of a new kernel, kept under that name."""
        params, outputs = shifted.data_dependent(self._deal(shape), respond, gain)
        self.made[name] = dict(params)
        return outputs

    def table(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return a new table, kept under that name."""
        table = self._deal(shape)
        self.made[name] = {"table": table}
        return table

    def _deal(self, shape: tuple[int, ...]) -> Array:
        """Return the next numbers of the noise, or zeros where they are only counted."""
        start = self.dealt
        self.dealt += math.prod(shape)
        if self.noise is None:
            return jnp.zeros(shape, self.dtype)
        return self.noise[start : self.dealt].reshape(shape)


@final
@dataclass(frozen=True)
class KernelsOfOnes:
    """A source of kernels of ones, with results 0 or 1: > 0 where something is reached.

    concat_elu keeps that: its two halves sum to x + exp(-x) - 1, which is > 0 for x > 0.
    """

    def linear(
        self,
        name: str,
        shape: tuple[int, ...],
        respond: Respond,
        gain: float,
    ) -> Array:
        """Return 1 where anything arrives."""
        del name, gain
        return (respond(jnp.ones(shape, jnp.float32)) > 1e-3).astype(jnp.float32)

    def table(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return zeros: a class is no pixel."""
        del name
        return jnp.zeros(shape, jnp.float32)

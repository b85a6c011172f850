"""The likelihood p(x | z) of a model's decoder, as far as its methods tell it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.check.law import Subject
from jaxgen.typing import Batch, Key, Variables

_LEAST = 1e-7  # probability of a binary element, as far as float32 tells it from 0


@runtime_checkable
class WithDecoderOutputs(Protocol):
    """A decoder that says of which distribution its outputs are the parameters."""

    @property
    def observation(self) -> Any:
        """The distribution of an element."""
        ...

    def decoder_outputs(self, variables: Variables, z: Any, **conditions: Any) -> Any:
        """Return the parameters of p(x | z), [N, *shape, P]."""
        ...


@dataclass(frozen=True)
class Decoded:
    """p(x | z) as far as a model tells it: its densities and its draws."""

    log_prob: Callable[[Variables, jax.Array, jax.Array, Batch], jax.Array]  # z, x -> [N]
    draw: Callable[[Variables, jax.Array, Key, Batch], jax.Array]  # z -> x


def likelihood(subject: Subject) -> Decoded | None:
    """Return p(x | z) as its decoder has it; None where means alone do not say it.

    Of binary data the mean is the whole distribution.
    """
    model = subject.model
    if isinstance(model, WithDecoderOutputs):

        def log_prob(
            variables: Variables,
            z: jax.Array,
            x: jax.Array,
            given: Batch,
        ) -> jax.Array:
            params = model.decoder_outputs(variables, z, **given)
            return model.observation.log_prob(params, x).reshape(len(x), -1).sum(axis=-1)

        def draw(
            variables: Variables,
            z: jax.Array,
            key: Key,
            given: Batch,
        ) -> jax.Array:
            return model.observation.sample(model.decoder_outputs(variables, z, **given), key)

        return Decoded(log_prob, draw)
    if not np.isin(np.asarray(subject.x), (0, 1)).all():
        return None
    return Decoded(*_binary(model))


def _binary(model: Any) -> tuple[Callable[..., jax.Array], Callable[..., jax.Array]]:
    def log_prob(
        variables: Variables,
        z: jax.Array,
        x: jax.Array,
        given: Batch,
    ) -> jax.Array:
        mean = jnp.clip(model.decode(variables, z, **given), _LEAST, 1 - _LEAST)
        of_elements = jnp.where(x > 0, jnp.log(mean), jnp.log1p(-mean))
        return of_elements.reshape(len(x), -1).sum(axis=-1)

    def draw(
        variables: Variables,
        z: jax.Array,
        key: Key,
        given: Batch,
    ) -> jax.Array:
        mean = jnp.clip(model.decode(variables, z, **given), 0, 1)
        return jax.random.bernoulli(key, mean).astype(jnp.float32)

    return log_prob, draw

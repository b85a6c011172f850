"""Two samplers that any autoregressive model has: the oracle, and a fixed point without a cache.

Both ask nothing of a model but its conditionals. Of three binary elements whose conditionals say
'1 if all before are 1', in raster order, the fixed point goes

    x:  0 0 0  ->  1 0 0  ->  1 1 0  ->  1 1 1  ->  1 1 1   (nothing changes: the end)

where the oracle takes a pass for each element.
"""

import math
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxgen.autoregressive.base import Choose
from jaxgen.typing import Array, Variables


@runtime_checkable
class AtOnce(Protocol):
    """A model that gives the parameters of all its conditionals in one pass."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        ...

    def conditionals(
        self,
        variables: Variables,
        x: Array,
        *args: Any,
        **condition: Any,
    ) -> jax.Array:
        """Return the parameters of every p(x_i | ...), [B, *shape, P]."""
        ...


@runtime_checkable
class InOrder(AtOnce, Protocol):
    """A model that says in which order its elements are drawn."""

    @property
    def order(self) -> np.ndarray:
        """The flat indices in that order."""
        ...


def naive(
    model: InOrder,
    variables: Variables,
    choose: Choose,
    num: int,
    **condition: Array | None,
) -> Float[jax.Array, "b ..."]:
    """Draw element by element, by a full forward pass each, of which one site is used."""
    dim = math.prod(model.shape)

    def draw_element(
        x: jax.Array,
        site: jax.Array,
    ) -> tuple[jax.Array, None]:
        params = model.conditionals(variables, x.reshape(num, *model.shape), **condition)
        params = params.reshape(num, dim, -1)  # [N, *shape, P] -> [N, D, P]
        value = choose(site, params[:, site])  # [N]
        return x.at[:, site].set(value), None

    # What is not drawn yet is zero: by causality nobody reads it.
    start = jnp.zeros((num, dim))
    x, _ = jax.lax.scan(draw_element, start, jnp.asarray(model.order))
    return x.reshape(num, *model.shape)


def jacobi(
    model: AtOnce,
    variables: Variables,
    choose: Choose,
    num: int,
    **condition: Array | None,
) -> Float[jax.Array, "b ..."]:
    """Draw all elements at once, from the last iterate, until nothing changes.

    After t passes the first t elements of the order are final, so that it ends, with the naive
    sampler's result, after at most D + 1 passes; most samples take far fewer. For any model,
    without a cache. (Song et al., 2021, "Accelerating feedforward computation via parallel
    nonlinear equation solving", arXiv 2002.03629, algorithm 1.)
    """
    sites = jnp.arange(math.prod(model.shape))
    choose_all = jax.vmap(choose, in_axes=(0, 1), out_axes=1)  # [D], [N, D, P] -> [N, D]

    def sweep(x: jax.Array) -> jax.Array:
        params = model.conditionals(variables, x.reshape(num, *model.shape), **condition)
        return choose_all(sites, params.reshape(num, sites.size, -1))

    def differ(iterates: tuple[jax.Array, jax.Array]) -> jax.Array:
        last, new = iterates
        return jnp.any(last != new)

    def advance(iterates: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        _, new = iterates
        return new, sweep(new)

    start = jnp.zeros((num, sites.size))
    # Two iterates that agree are the fixed point, and by causality there is only one.
    x, _ = jax.lax.while_loop(differ, advance, (start, sweep(start)))
    return x.reshape(num, *model.shape)

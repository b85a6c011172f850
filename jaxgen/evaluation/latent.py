"""Walks and arithmetic in the latent space of a model with `decode(variables, z)`.

A walk decodes the points of a path between two latents. If the largest change from one frame to
the next shrinks as 1/n with the number of frames, the generator is continuous along the path: it
does not switch from one remembered example to another. The path is a straight line, or

    slerp(t) = sin((1 - t) w) / sin w * a + sin(t w) / sin w * b,    w the angle between a and b,

which keeps the length that draws of a Gaussian prior in many dimensions have. Arithmetic averages
the latents of several exemplars of each concept and decodes A - B + C: a woman with glasses from a
man with glasses, a man without and a woman without.

Radford et al., 2016, "Unsupervised representation learning with deep convolutional generative
adversarial networks" (arXiv 1511.06434), sections 6.1 and 6.3.2; White, 2016, "Sampling generative
networks" (arXiv 1609.04468); Shoemake, 1985, "Animating rotation with quaternion
curves".
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen.errors import ConfigError
from jaxgen.typing import Array, Key, Variables


def lerp(
    a: Float[Array, "... z"],
    b: Float[Array, "... z"],
    points: int,
) -> Float[Array, "... p z"]:
    """Return `points` equal steps on the straight line from a to b, both ends among them."""
    t = _fractions(points, a.ndim + 1)
    begin = a[..., None, :]  # [..., 1, Z]
    end = b[..., None, :]
    return (1 - t) * begin + t * end


def slerp(
    a: Float[Array, "... z"],
    b: Float[Array, "... z"],
    points: int,
) -> Float[Array, "... p z"]:
    """Return `points` equal angles on the arc from a to b, both ends among them.

    It is `lerp` where no one arc joins them: they point the same way or opposite ways, or one is 0.
    """
    length = jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1)
    cosine = (a * b).sum(axis=-1) / jnp.maximum(length, 1e-12)
    angle = jnp.arccos(jnp.clip(cosine, -1.0, 1.0))[..., None, None]
    sine = jnp.sin(angle)
    nowhere = length[..., None, None] == 0
    straight = (jnp.abs(sine) < 1e-3) | nowhere
    sine = jnp.where(straight, 1.0, sine)
    t = _fractions(points, a.ndim + 1)
    arc = jnp.sin((1 - t) * angle) / sine * a[..., None, :]
    arc += jnp.sin(t * angle) / sine * b[..., None, :]
    # sin w / sin w may be 1 - 1e-7: the ends are the latents themselves.
    arc = arc.at[..., -1, :].set(b)
    arc = arc.at[..., 0, :].set(a)
    return jnp.where(straight, lerp(a, b, points), arc)


def _fractions(points: int, rank: int) -> jax.Array:
    """Return `points` equal steps from 0 to 1, [1, ..., P, 1] of that rank."""
    t = jnp.linspace(0.0, 1.0, points)[:, None]
    return jax.lax.broadcast_to_rank(t, rank)


def walk(
    model: Any,
    variables: Variables,
    a: Float[Array, "... z"],
    b: Float[Array, "... z"],
    points: int = 11,
    path: str = "spherical",
    **condition: Array,
) -> Float[Array, "..."]:
    """Decode the way from a to b.

    Args:
      model: with `decode`, which maps each latent apart from the others.
      variables: of the model.
      a: where walks begin, one latent or any number of them.
      b: where they end.
      points: frames of a walk, its ends among them.
      path: 'spherical' for a Gaussian prior, 'linear' for one that is uniform on a cube.
      **condition: what `decode` is given beside z, [N, ...]: an entry for each of N walks.

    Returns:
      [..., points, *shape].
    """
    if path not in ("linear", "spherical"):
        raise ConfigError(f"path: got {path!r}, expected 'linear' or 'spherical'")
    z = lerp(a, b, points) if path == "linear" else slerp(a, b, points)
    return decode(model, variables, z, **condition)


def largest_step(frames: Float[Array, "p ..."]) -> Float[Array, ""]:
    """Return the largest Euclidean distance between a frame of one walk and the next."""
    change = jnp.diff(frames.reshape(len(frames), -1), axis=0)
    return jnp.linalg.norm(change, axis=1).max()


def combine(
    a: Float[Array, "i z"],
    b: Float[Array, "j z"],
    c: Float[Array, "k z"],
) -> Float[Array, " z"]:
    """Return A - B + C of the mean latents of three concepts, each of one exemplar or more.

    Three or more exemplars are the custom; single ones carry their own peculiarities along.
    """
    concepts = {"a": a, "b": b, "c": c}
    empty = [name for name, latents in concepts.items() if len(latents) == 0]
    if empty:
        raise ConfigError(f"exemplars of concept {empty[0]}: got none, expected one or more")
    return a.mean(axis=0) - b.mean(axis=0) + c.mean(axis=0)


def arithmetic(
    model: Any,
    variables: Variables,
    a: Float[Array, "i z"],
    b: Float[Array, "j z"],
    c: Float[Array, "k z"],
    *,
    key: Key | None = None,
    neighbours: int = 0,
    spread: float = 0.25,
) -> Float[Array, "n ..."]:
    """Decode A - B + C, and latents around it.

    Args:
      model: with `decode`.
      variables: of the model.
      a: latents of the exemplars of one concept.
      b: of another, which is taken away.
      c: of a third, which is added.
      key: of the neighbours.
      neighbours: how many latents around the result to decode too.
      spread: uniform noise of -spread .. spread makes them.

    Returns:
      [1 + neighbours, *shape], the result first.
    """
    z = combine(a, b, c)[None]
    if neighbours:
        if key is None:
            raise ConfigError(f"neighbours: got {neighbours} and no key to draw them with")
        noise = jax.random.uniform(key, (neighbours, z.shape[1]), minval=-spread, maxval=spread)
        z = jnp.concatenate([z, z + noise])
    return decode(model, variables, z)


def decode(
    model: Any,
    variables: Variables,
    z: Array,
    **condition: Array,
) -> jax.Array:
    """Apply `model.decode` to latents [N, ..., Z] as one batch; conditions are [N, ...]."""
    frames = math.prod(z.shape[1:-1])
    given = {name: jnp.repeat(jnp.asarray(x), frames, axis=0) for name, x in condition.items()}
    # [N, ..., Z] -> [N * frames, Z] -> [N * frames, *shape] -> [N, ..., *shape]
    flat = z.reshape(-1, z.shape[-1])
    x = jax.jit(model.decode)(variables, flat, **given)
    return x.reshape(*z.shape[:-1], *x.shape[1:])

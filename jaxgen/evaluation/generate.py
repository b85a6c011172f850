"""Examples that a model makes, as arrays: samples, completions, reconstructions and walks.

Which of them a model can make follows from its capabilities; a function that asks for one that the
model has not raises ConfigError. How they are drawn is the matter of `jaxgen.figures.gallery`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import fields
from jaxgen.data import Dataset
from jaxgen.errors import ConfigError
from jaxgen.evaluation import latent
from jaxgen.typing import (
    Array,
    Batch,
    Chain,
    Completer,
    Decoder,
    Encoder,
    Key,
    Latent,
    Reconstructor,
    Sampler,
    Variables,
)

Conditions = Mapping[str, np.ndarray]
NOTHING: Conditions = MappingProxyType({})


def samples(
    model: Any,
    variables: Variables,
    key: Key,
    num: int,
    *,
    means: bool = True,
    conditions: Conditions = NOTHING,
) -> tuple[np.ndarray, str]:
    """Return `num` samples in the model's space, and what they are in a word.

    Args:
      model: with `sample`.
      variables: of the model.
      key: fixes the latents, so that pictures over training line up.
      num: how many.
      means: for a model with latents and a p(x | z) its means, of z ~ p(z), as is the custom in
        pictures of VAEs, rather than draws from p(x | z).
      conditions: what a conditional model is given, as `conditions_of_samples` makes it.

    Raises:
      ConfigError: the model cannot sample.
    """
    if not isinstance(model, Sampler):
        raise ConfigError(
            f"{type(model).__name__} has no sample: it is not a generative model.\n"
            "Try: jaxgen reconstruct RUN"
        )
    if means and isinstance(model, Latent) and hasattr(model, "observation"):
        latent_key, _ = jax.random.split(key)  # as `sample` does; the other one draws from p(x | z)
        z = model.latents(latent_key, num)
        x = jax.jit(model.decode)(variables, z, **conditions)
        return np.asarray(x), "means of p(x | z)"
    sample = jax.jit(model.sample, static_argnames="num")
    x = sample(variables, key, num=num, **conditions)
    return np.asarray(x), "samples"


def chains(
    model: Any,
    variables: Variables,
    key: Key,
    num: int,
    points: int,
    *,
    conditions: Conditions = NOTHING,
) -> np.ndarray:
    """Return chains from their beginning to their samples at some times, [num, points, *shape].

    Args:
      model: with `chain`.
      variables: of the model.
      key: of the draws; the last point is the sample of that key.
      num: of chains.
      points: at equal distances, both ends among them; at least 2.
      conditions: what a conditional model is given, as `conditions_of_samples` makes it.

    Raises:
      ConfigError: the model has no chain.
    """
    _require(model, Chain, "chain")
    chain = jax.jit(model.chain, static_argnames=("num", "points"))
    return np.asarray(chain(variables, key, num=num, points=points, **conditions))


def conditions_of_samples(
    model: Any,
    dataset: Callable[[], Dataset],
    num: int,
    label: int | None = None,
) -> dict[str, np.ndarray]:
    """Return what `num` samples are conditioned on; {} for a model without conditions.

    Args:
      model: with `given` if it is given fields; `num_classes` if it knows how many classes.
      dataset: loads the data, whose test examples lend the fields; of a model that knows its number
        of classes all but the label. An optional field that the data lack is left out.
      num: of samples.
      label: the class of all samples; by default the classes one after the other, equally often.

    Raises:
      ConfigError: the model has no such class.
      DataError: the data lack a field that the model cannot do without.
    """
    classes = getattr(model, "num_classes", 0)
    if label is not None and not classes and "label" in fields.given(model):
        classes = dataset().num_classes or 0
    if label is not None and not 0 <= label < classes:
        known = f"0 .. {classes - 1}" if classes else "none: the model is not class-conditional"
        raise ConfigError(f"--label: got {label}, expected {known}")
    found: dict[str, np.ndarray] = {}
    if classes and label is None:
        found["label"] = np.arange(num) * classes // num
    elif label is not None:
        found["label"] = np.full(num, label)
    if set(fields.given(model)) <= set(found):
        return found
    of_data = dataset().batch("test", num)
    lent = fields.conditions(model, {**of_data, **found})
    return found | fields.repeated(lent, num)


def fill_rows(
    model: Any,
    num: int,
    label: int | None = None,
) -> tuple[int, int | None]:
    """Return (how many samples, how many columns) make a picture with a row for each class."""
    classes = getattr(model, "num_classes", 0)
    if not classes or label is not None:
        return num, None
    columns = -(-num // classes)
    return columns * classes, columns


def completions(
    model: Any,
    variables: Variables,
    key: Key,
    batch: Batch,
    known: np.ndarray,
    times: int = 1,
) -> np.ndarray:
    """Complete examples where `known` [*shape] is False: [N, times, *shape].

    Args:
      model: with `complete`.
      variables: of the model.
      key: of the draws.
      batch: {target: [N, *shape]} and what a conditional model is given.
      known: True where an element is given.
      times: completions of each example.

    Raises:
      ConfigError: the model cannot complete.
    """
    _require(model, Completer, "complete")
    repeated = {name: np.repeat(value, times, axis=0) for name, value in batch.items()}
    x = repeated[fields.target(model)]
    conditions = fields.conditions(model, repeated)
    done = jax.jit(model.complete)(variables, key, x, jnp.asarray(known), **conditions)
    return np.asarray(done).reshape(-1, times, *x.shape[1:])


def known_half(shape: tuple[int, ...], known: str) -> np.ndarray:
    """Return a mask [*shape]: the upper or the left half of an image, the first of a vector."""
    axis = 1 if known == "left" and len(shape) > 1 else 0
    half = shape[axis] // 2
    mask = np.zeros(shape, bool)
    np.moveaxis(mask, axis, 0)[:half] = True  # a view
    return mask


def reconstructions(
    model: Any,
    variables: Variables,
    x: np.ndarray,
    *,
    conditions: Conditions = NOTHING,
) -> np.ndarray:
    """Return the model's reconstructions of x [N, *shape]; ConfigError if it makes none."""
    _require(model, Reconstructor, "reconstruct")
    return np.asarray(jax.jit(model.reconstruct)(variables, x, **conditions))


def interpolations(
    model: Any,
    variables: Variables,
    x: np.ndarray,
    points: int,
    *,
    conditions: Conditions = NOTHING,
) -> np.ndarray:
    """Decode `points` equal steps from the code of x[i] to that of x[N + i].

    Args:
      model: with `encode` and `decode`.
      variables: of the model.
      x: [2N, *shape].
      points: at least 1.
      conditions: of the 2N examples; those of the first N are kept on the way.

    Returns:
      [N, points, *shape].

    Raises:
      ConfigError: the model has no codes, or makes no examples of them.
    """
    _require(model, Encoder, "encode")
    _require(model, Decoder, "decode")
    num = len(x) // 2
    codes = np.asarray(jax.jit(model.encode)(variables, x, **conditions))
    code = codes.reshape(len(codes), -1)  # [2N, Z]; a code may be a map
    weight = np.linspace(0, 1, points, dtype=code.dtype)[None, :, None]
    begin = code[:num, None]  # [N, 1, Z]
    end = code[num:, None]
    path = (1 - weight) * begin + weight * end  # [N, P, Z]
    kept = {name: value[:num] for name, value in conditions.items()}
    decoder = _OfVectors(model, codes.shape[1:])
    return np.asarray(latent.decode(decoder, variables, path, **kept))


def prior_walks(
    model: Any,
    variables: Variables,
    key: Key,
    num: int,
    points: int,
    *,
    conditions: Conditions = NOTHING,
) -> np.ndarray:
    """Decode `points` steps from one draw of the prior to another: [N, points, *shape].

    Args:
      model: with `latents` and `decode`; its `prior` says whether walks are lines or arcs.
      variables: of the model.
      key: of the latents.
      num: N, walks.
      points: at least 1.
      conditions: of each walk, as `conditions_of_samples` makes it.

    Raises:
      ConfigError: the model has no latents.
    """
    _require(model, Latent, "latents")
    latents = model.latents(key, 2 * num)
    z = jnp.reshape(latents, (2 * num, -1))
    decoder = _OfVectors(model, latents.shape[1:])
    path = "linear" if getattr(model, "prior", "normal") == "uniform" else "spherical"
    made = latent.walk(decoder, variables, z[:num], z[num:], points, path, **conditions)
    return np.asarray(made)


@dataclass(frozen=True)
class _OfVectors:
    """A model's decoder for codes that were flattened.

    Attributes:
      model: with `decode`.
      shape: of a code, without the batch.
    """

    model: Any
    shape: tuple[int, ...]

    def decode(self, variables: Variables, z: Array, **conditions: Array) -> Array:
        """Return the examples of codes [B, Z]."""
        return self.model.decode(variables, z.reshape(-1, *self.shape), **conditions)


def _require(model: Any, capability: type, method: str) -> None:
    """Raise ConfigError unless the model has the capability, known by one of its methods."""
    if not isinstance(model, capability):
        raise ConfigError(f"{type(model).__name__} has no {method}")

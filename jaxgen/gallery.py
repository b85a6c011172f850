"""Pictures of what a model does: samples beside real data, reconstructions, interpolations.

Which picture a model gets follows from the methods it has. All functions return uint8 images
[H, W, 3]; the caller writes them.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from jaxgen import pictures
from jaxgen.autoregressive import chain_rule
from jaxgen.data import Dataset, display
from jaxgen.data.mu_law import mu_law_decode
from jaxgen.errors import ConfigError
from jaxgen.evaluation import latent
from jaxgen.train import Key, Variables

_UNKNOWN = 0.55  # the grey of a pixel that is not given
_VECTORS = ("completed from the first half", "test data")


def draw(
    model: Any,
    variables: Variables,
    key: Key,
    num: int,
    *,
    mean: bool = True,
    condition: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> tuple[np.ndarray, str]:
    """`num` samples in the model's space, and what they are in a word.

    Args:
      model: with `sample`.
      variables: of the model.
      key: fixes the latents, so that pictures over training line up.
      num: how many.
      mean: for a model with latents and a p(x | z) its means, of z ~ p(z), as is the custom in
        pictures of VAEs, rather than draws from p(x | z).
      condition: what a conditional model is given, as `conditions` makes it.

    Raises:
      ConfigError: the model cannot sample.
    """
    if not hasattr(model, "sample"):
        raise ConfigError(
            f"{type(model).__name__} has no sample: it is not a generative model.\n"
            "Try: jaxgen reconstruct RUN"
        )
    if mean and hasattr(model, "decode") and hasattr(model, "observation"):
        z = jax.random.normal(jax.random.split(key)[0], (num, model.latent_dim))  # as `sample` does
        return np.asarray(jax.jit(model.decode)(variables, z)), "means of p(x | z)"
    sample = jax.jit(model.sample, static_argnames="num")
    return np.asarray(sample(variables, key, num=num, **condition)), "samples"


def conditions(
    model: Any, dataset: Callable[[], Dataset], num: int, label: int | None = None
) -> dict[str, np.ndarray]:
    """What `num` samples are conditioned on; {} for a model without conditions.

    Args:
      model: with `num_classes` or `context_dim`, if it is conditional.
      dataset: loads the data, whose test examples give the contexts.
      num: of samples.
      label: the class of all samples; by default the classes one after the other, equally often.

    Raises:
      ConfigError: the model has no such class.
    """
    classes, found = getattr(model, "num_classes", 0), {}
    if label is not None and not 0 <= label < classes:
        known = f"0 .. {classes - 1}" if classes else "none: the model is not class-conditional"
        raise ConfigError(f"--label: got {label}, expected {known}")
    if classes:
        found["label"] = np.arange(num) * classes // num if label is None else np.full(num, label)
    if getattr(model, "context_dim", 0):
        context = dataset().batch("test", num)["context"]
        found["context"] = np.resize(context, (num, *context.shape[1:]))
    return found


def in_rows(model: Any, num: int, label: int | None = None) -> tuple[int, int | None]:
    """(how many samples, how many columns) make a picture with a row for each class."""
    classes = getattr(model, "num_classes", 0)
    if not classes or label is not None:
        return num, None
    columns = -(-num // classes)
    return columns * classes, columns


def complete(
    model: Any,
    variables: Variables,
    key: Key,
    fields: Mapping[str, np.ndarray],
    known: np.ndarray,
    times: int = 1,
) -> np.ndarray:
    """Completions of examples where `known` [*shape] is False: [N, times, *shape].

    Args:
      model: with `complete`.
      variables: of the model.
      key: of the draws.
      fields: {'image': [N, *shape]} and what a conditional model is given.
      known: True where an element is given.
      times: completions of each example.

    Raises ConfigError if the model cannot complete.
    """
    _require(model, "complete")
    fields = {name: np.repeat(value, times, axis=0) for name, value in fields.items()}
    condition, x = chain_rule.conditions(model, fields), fields["image"]
    done = jax.jit(model.complete)(variables, key, x, jax.numpy.asarray(known), **condition)
    return np.asarray(done).reshape(-1, times, *x.shape[1:])


def half(shape: tuple[int, ...], known: str) -> np.ndarray:
    """bool [*shape]: the upper or the left half of an image, the first half of a vector."""
    mask, along = np.zeros(shape, bool), 1 if known == "left" and len(shape) > 1 else 0
    mask[(slice(None),) * along + (slice(shape[along] // 2),)] = True
    return mask


def reconstruct(model: Any, variables: Variables, x: np.ndarray) -> np.ndarray:
    """The model's reconstructions of x [N, *shape]. Raises ConfigError if it makes none."""
    _require(model, "reconstruct")
    return np.asarray(jax.jit(model.reconstruct)(variables, x))


def interpolate(model: Any, variables: Variables, x: np.ndarray, points: int) -> np.ndarray:
    """Decodes `points` equal steps from the code of x[i] to that of x[N + i].

    Args:
      model: with `encode` and `decode`.
      variables: of the model.
      x: [2N, *shape].
      points: at least 1.

    Returns:
      [N, points, *shape]. Raises ConfigError if the model has no codes.
    """
    _require(model, "encode")
    num = len(x) // 2
    code = np.asarray(jax.jit(model.encode)(variables, x))
    weight = np.linspace(0, 1, points, dtype=code.dtype)[None, :, None]
    path = (1 - weight) * code[:num, None] + weight * code[num:, None]
    return np.asarray(jax.jit(model.decode)(variables, path))


def walk(
    model: Any,
    variables: Variables,
    key: Key,
    num: int,
    points: int,
    *,
    condition: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> np.ndarray:
    """Decodes `points` steps from one draw of the prior to another: [N, points, *shape].

    Args:
      model: with `latents` and `decode`; its `prior` says whether walks are lines or arcs.
      variables: of the model.
      key: of the latents.
      num: N, walks.
      points: at least 1.
      condition: of each walk, as `conditions` makes it.

    Raises ConfigError if the model has no latents.
    """
    _require(model, "latents")
    z = model.latents(key, 2 * num)
    path = "linear" if model.prior == "uniform" else "spherical"
    return np.asarray(latent.walk(model, variables, z[:num], z[num:], points, path, **condition))


def progress(
    model: Any, variables: Variables, dataset: Dataset, key: Key, caption: str, num: int = 64
) -> np.ndarray:
    """What is drawn while training: samples, or reconstructions, beside real examples."""
    num, columns = in_rows(model, num)
    real = dataset.examples("test", num)
    if hasattr(model, "sample"):
        condition = conditions(model, lambda: dataset, num)
        made, kind = draw(model, variables, key, num, condition=condition)
    else:
        made, kind = reconstruct(model, variables, real), "reconstructions"
    captions = (f"{kind}, {caption}", "test data")
    return picture(made, dataset.record(), real, captions, columns=columns)


def picture(
    x: np.ndarray,
    form: Mapping[str, Any],
    real: np.ndarray | None = None,
    captions: tuple[str, str] = ("samples", "real"),
    columns: int | None = None,
) -> np.ndarray:
    """Examples x [N, *shape] in the model's space, beside real ones where these are given.

    Args:
      x: what a model made.
      form: the record of its data: `transform` and `levels` say what the values mean.
      real: examples of the same shape.
      captions: for x and real.
      columns: of images; default near a square.
    """
    real = None if real is None else _display(real, form)
    return pictures.show(_display(x, form), real, captions=captions, columns=columns)


def paired(real: np.ndarray, made: np.ndarray, form: Mapping[str, Any]) -> np.ndarray:
    """Each real example above its reconstruction; vectors side by side."""
    if real.ndim != 4:
        return picture(made, form, real, ("reconstructions", "real"))
    return pictures.pairs(_display(real, form), _display(made, form), columns=min(len(real), 16))


def walks(made: np.ndarray, form: Mapping[str, Any]) -> np.ndarray:
    """Interpolations [N, points, *shape], a row each; vectors one after another."""
    if made.ndim != 5:
        return picture(made.reshape(-1, *made.shape[2:]), form)
    return pictures.rows(_display(made, form))


def completions(
    real: np.ndarray, known: np.ndarray, made: np.ndarray, form: Mapping[str, Any]
) -> np.ndarray:
    """A row for each example: what was given, completions [N, K, *shape], the example itself.

    Vectors are drawn one below the other, beside the examples they begin as.
    """
    if real.ndim != 4:
        made = made.reshape(-1, *real.shape[1:])
        return picture(made, form, np.repeat(real, len(made) // len(real), 0), _VECTORS)
    shown, done = _display(real, form), _display(made, form)
    given = np.where(known, shown, _UNKNOWN)
    return pictures.rows(np.concatenate([given[:, None], done, shown[:, None]], axis=1))


def _display(x, form):
    if form.get("sample_rate") and form["transform"] == "levels":
        return mu_law_decode(x, form["levels"])
    return display(x, transform=form["transform"], levels=form["levels"])


def _require(model, method):
    if not hasattr(model, method):
        raise ConfigError(f"{type(model).__name__} has no {method}")

"""Pictures of what a model does: samples beside real data, reconstructions, interpolations.

Which picture a model gets follows from the methods it has. All functions return uint8 images
[H, W, 3]; the caller writes them.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxgen import pictures
from jaxgen.data import Dataset, display
from jaxgen.errors import ConfigError
from jaxgen.train import Key, Variables


def draw(
    model: Any, variables: Variables, key: Key, num: int, *, mean: bool = True
) -> tuple[np.ndarray, str]:
    """`num` samples in the model's space, and what they are in a word.

    Args:
      model: with `sample`.
      variables: of the model.
      key: fixes the latents, so that pictures over training line up.
      num: how many.
      mean: for a model with latents the means E[x | z] of z ~ p(z), as is the custom in pictures of
        VAEs, rather than draws from p(x | z).

    Raises:
      ConfigError: the model cannot sample.
    """
    if not hasattr(model, "sample"):
        raise ConfigError(
            f"{type(model).__name__} has no sample: it is not a generative model.\n"
            "Try: jaxgen reconstruct RUN"
        )
    if mean and hasattr(model, "decode"):
        z = jax.random.normal(jax.random.split(key)[0], (num, model.latent_dim))  # as `sample` does
        return np.asarray(jax.jit(model.decode)(variables, z)), "means of p(x | z)"
    sample = jax.jit(model.sample, static_argnames="num")
    return np.asarray(sample(variables, key, num=num)), "samples"


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


def progress(
    model: Any, variables: Variables, dataset: Dataset, key: Key, caption: str, num: int = 64
) -> np.ndarray:
    """What is drawn while training: samples, or reconstructions, beside real examples."""
    real = dataset.examples("test", num)
    if hasattr(model, "sample"):
        made, kind = draw(model, variables, key, num)
    else:
        made, kind = reconstruct(model, variables, real), "reconstructions"
    return picture(made, dataset.record(), real, (f"{kind}, {caption}", "test data"))


def picture(
    x: np.ndarray,
    form: Mapping[str, Any],
    real: np.ndarray | None = None,
    captions: tuple[str, str] = ("samples", "real"),
) -> np.ndarray:
    """Examples x [N, *shape] in the model's space, beside real ones where these are given.

    Args:
      x: what a model made.
      form: the record of its data: `transform` and `levels` say what the values mean.
      real: examples of the same shape.
      captions: for x and real.
    """
    real = None if real is None else _display(real, form)
    return pictures.show(_display(x, form), real, captions=captions)


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


def _display(x, form):
    return display(x, transform=form["transform"], levels=form["levels"])


def _require(model, method):
    if not hasattr(model, method):
        raise ConfigError(f"{type(model).__name__} has no {method}")

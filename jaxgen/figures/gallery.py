"""Pictures of what a model makes: samples beside real data, reconstructions, walks, completions.

All functions return uint8 images [H, W, 3]; the caller writes them. The arrays that they draw come
from `jaxgen.evaluation.generate`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxgen.data import Dataset, display
from jaxgen.data.readers.mu_law import mu_law_decode
from jaxgen.evaluation import generate
from jaxgen.fields import conditions, target
from jaxgen.figures import images
from jaxgen.typing import Key, Sampler, Variables

Form = Mapping[str, Any]  # the record of the data: `transform` and `levels` say what values mean

_UNKNOWN = 0.55  # the grey of a pixel that is not given
_VECTORS = ("completed from the first half", "test data")


def progress(
    model: Any,
    variables: Variables,
    dataset: Dataset,
    key: Key,
    caption: str,
    num: int = 64,
) -> np.ndarray:
    """Draw what the model makes while it is trained, beside real examples.

    These are samples, or the reconstructions of a model that has no samples.
    """
    num, columns = generate.fill_rows(model, num)
    batch = dataset.batch("test", num)
    real = batch[target(model)]
    if isinstance(model, Sampler):
        given = generate.conditions_of_samples(model, lambda: dataset, num)
        made, kind = generate.samples(
            model,
            variables,
            key,
            num,
            conditions=given,
        )
    else:
        given = conditions(model, batch)
        made = generate.reconstructions(model, variables, real, conditions=given)
        kind = "reconstructions"
    captions = (f"{kind}, {caption}", "test data")
    return picture(
        made,
        dataset.record(),
        real,
        captions,
        columns=columns,
    )


def picture(
    x: np.ndarray,
    form: Form,
    real: np.ndarray | None = None,
    captions: tuple[str, str] = ("samples", "real"),
    columns: int | None = None,
) -> np.ndarray:
    """Draw examples x [N, *shape] in the model's space, beside real ones where these are given.

    Args:
      x: what a model made.
      form: the record of its data.
      real: examples of the same shape.
      captions: for x and real.
      columns: of images, where the rows are those of the classes; default near a square.
    """
    beside = None if real is None else _display(real, form)
    return images.show(
        _display(x, form),
        beside,
        captions=captions,
        columns=columns,
        row_names=_row_names(form, len(x), columns),
    )


def paired(
    real: np.ndarray,
    made: np.ndarray,
    form: Form,
) -> np.ndarray:
    """Draw each real example above its reconstruction; vectors side by side."""
    if real.ndim != 4:
        return picture(made, form, real, ("reconstructions", "real"))
    columns = min(len(real), 16)
    return images.pairs(_display(real, form), _display(made, form), columns=columns)


def walks(made: np.ndarray, form: Form) -> np.ndarray:
    """Draw interpolations [N, points, *shape], a row each; vectors one after another."""
    if made.ndim != 5:
        return picture(made.reshape(-1, *made.shape[2:]), form)
    return images.rows(_display(made, form))


def chains(made: np.ndarray, form: Form) -> np.ndarray:
    """Draw chains [N, points, *shape], a row each; points of a plane at all times side by side."""
    if made.ndim == 5:
        shown = _display(made, form)
        return images.rows(shown.clip(0, 1))  # noise is beyond black and white
    last = made.shape[1] - 1
    times = []
    for number, part in enumerate(np.moveaxis(made, 1, 0)):  # [N, *shape] each
        caption = f"{number} of {last}"
        times.append(picture(part, form, captions=(caption, "")))
    return np.concatenate(times, axis=1)


def completions(
    real: np.ndarray,
    known: np.ndarray,
    made: np.ndarray,
    form: Form,
) -> np.ndarray:
    """Draw a row for each example: what was given, completions [N, K, *shape], the example itself.

    Vectors are drawn one below the other, beside the examples they begin as.
    """
    if real.ndim != 4:
        made = made.reshape(-1, *real.shape[1:])
        truth = np.repeat(real, len(made) // len(real), 0)
        return picture(made, form, truth, _VECTORS)
    truth = _display(real, form)
    given = np.where(known, truth, _UNKNOWN)
    # [N, 1, H, W, C], [N, K, H, W, C] and [N, 1, H, W, C] -> [N, K + 2, H, W, C]
    strips = [given[:, None], _display(made, form), truth[:, None]]
    return images.rows(np.concatenate(strips, axis=1))


def _row_names(form: Form, num: int, columns: int | None) -> tuple[str, ...]:
    """Return '3 trumpet' for each class where it has a row of its own and the data name it."""
    names = form.get("class_names")
    if columns is None or not isinstance(names, list) or len(names) * columns != num:
        return ()
    return tuple(f"{number} {name}" for number, name in enumerate(names))


def _display(x: np.ndarray, form: Form) -> np.ndarray:
    """Return the values that are drawn: of an image in [0, 1], of sound its wave."""
    if form.get("sample_rate") and form["transform"] == "levels":
        return mu_law_decode(x, form["levels"])
    return display(x, transform=form["transform"], levels=form["levels"])

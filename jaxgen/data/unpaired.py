"""Two sources without pairs, such as photographs and paintings: a batch holds some of each.

A batch has the fields of the first source and, as 'other', images of the second. Each source has an
order of its own, a pure function of (seed, step), so that over the epochs every image of one meets
those of the other by chance alone:

    step              0          1          2               (batches of 2, sources of 6 and 4)
    'image'   a at    4 0        3 5        1 2        | the next permutation of 6
    'other'   b at    2 1        0 3        | the next permutation of 4
"""

from dataclasses import replace
from types import MappingProxyType

from jaxgen.data.dataset import Dataset
from jaxgen.data.split import Split, identity_hash
from jaxgen.errors import ConfigError


def unpaired(a: Split, b: Split) -> Split:
    """Return a split of the examples of `a`, with images of `b` beside them as 'other'.

    It is streamed: two orders at once are no rows of one resident array.
    """
    sources = {"image": a.sha256, "other": b.sha256}
    return replace(
        a,
        sha256=identity_hash(sources),
        resident=None,
        other=b,
    )


def unpaired_datasets(a: Dataset, b: Dataset) -> Dataset:
    """Return one data set of two: the examples of `a`, and images of `b` as the field 'other'.

    Both are prepared in the same form. Labels and other fields are those of `a`.

    Raises:
      ConfigError: the two differ in the shape of an example, its levels or its form.
    """
    _require_same("the shape of an example", a, list(a.shape), b, list(b.shape))
    _require_same("levels", a, a.levels, b, b.levels)
    _require_same("--data.transform", a, a.config.transform, b, b.config.transform)
    _require_same("--data.threshold", a, a.threshold, b, b.threshold)
    _require_same("the sampling rate", a, a.sample_rate, b, b.sample_rate)
    for dataset in (a, b):
        if dataset.other is not None:
            raise ConfigError(f"{dataset.config.name}: is of two sources already, expected one")
    splits = {}
    for name, split in a.splits.items():
        splits[name] = unpaired(split, b.splits[name])
    return replace(
        a,
        config=replace(a.config, name=f"unpaired:{a.config.name}+{b.config.name}"),
        entropy=None,
        splits=MappingProxyType(splits),
        other=b,
    )


def _require_same(
    what: str,
    a: Dataset,
    of_a: object,
    b: Dataset,
    of_b: object,
) -> None:
    """Raise ConfigError, naming both data sets, unless they agree."""
    if of_a != of_b:
        raise ConfigError(
            f"{what}: {of_a} in {a.config.name!r}, {of_b} in {b.config.name!r}: two unpaired "
            "sources must agree in it"
        )

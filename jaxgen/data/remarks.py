"""Remarks: what was found out about data that nobody had said, a line each for people."""

from collections.abc import Mapping, Sequence


def remarks(
    *,
    name: str,
    levels: int | None,
    classes: Sequence[int] | None,
    unknown: Mapping[str, int],
    seen: Sequence[str],
    old_rules: bool,
) -> tuple[str, ...]:
    """Return the remarks on a data set.

    Args:
      name: of the data set.
      levels: how many values the data show where a byte may have 256; None where that was said.
      classes: the numbers that the source gives its classes, where it skips some.
      unknown: {split: number of its examples without a known class}.
      seen: the splits that are trained on.
      old_rules: whether the source was read by the rules of older runs.
    """
    found = []
    if old_rules:
        found.append(f"{name}: read by the rules of older runs, --data.rules 1")
    if levels is not None:
        found.append(
            f"{name}: no value is above {levels - 1}, so a pixel has {levels} levels; "
            "--data.levels says otherwise"
        )
    if classes is not None:
        found.append(
            f"{name}: the labels skip numbers, {_listed(classes)} are the classes, numbered "
            f"0..{len(classes) - 1}"
        )
    for split, num in unknown.items():
        found.append(f"{name}: {num} {split} examples are of no known class")
    if "validation" in seen:
        found.append(
            f"{name}: the validation split is trained on, so that its figures and the choice of "
            "the best checkpoint are of examples that were seen"
        )
    return tuple(found)


def _listed(numbers: Sequence[int]) -> str:
    """Return the numbers in words, those in the middle left out where there are many."""
    words = [str(number) for number in numbers]
    if len(words) > 8:
        words = [*words[:3], "...", words[-1]]
    return ", ".join(words)

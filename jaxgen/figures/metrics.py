"""The lines of `metrics.jsonl` as curves, in bounded memory however long the file is.

A curve of few points is kept point by point. Of a long one the steps are cut into stretches of
equally many points, of which the lowest, the highest and the mean are kept; as the curve grows,
neighbouring stretches become one. A peak of one step in ten millions is still on the page.
"""

import json
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np

from jaxgen.console import printable
from jaxgen.errors import CheckpointError
from jaxgen.files import read_lines

MOST = 2**15  # stretches of a curve
MAX_NAMES = 256  # metrics of a run
_MAX_TEXT = 4000
_DAMAGED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
# The numbers of a stretch: the steps of its extremes and their values, its mean, its last point.
_LOW_AT, _HIGH_AT, _LOW, _HIGH, _MEAN, _LAST_AT, _LAST = range(7)


class Curve(NamedTuple):
    """Values over steps.

    Attributes:
      steps: [N], ascending.
      values: [N], each one, or the lowest and the highest of each stretch.
      means: [N], the values, or the means of their stretches.
    """

    steps: np.ndarray
    values: np.ndarray
    means: np.ndarray


Series = dict[str, dict[str, Curve]]  # {name: {split: curve}}


class Points:
    """A growing curve."""

    def __init__(self) -> None:
        self._stride = 1  # points of a stretch
        self._stretches = [array("d") for _ in range(7)]
        self._open: list[tuple[int, float | int]] = []  # points of the stretch that is not full

    def add(self, step: int, value: float | int) -> None:
        """Add a value; those from this step on were of a run that went back, and are dropped."""
        if self._last_step() >= step:
            self._drop_from(step)
        self._open.append((step, value))
        if len(self._open) == self._stride:
            self._close()

    def curve(self) -> Curve:
        """Return what is kept."""
        table = np.array(self._stretches).T  # [N, 7]
        if self._open:
            table = np.vstack([table, _stretch(self._open)])
        if self._stride == 1:
            return Curve(table[:, _LAST_AT], table[:, _LAST], table[:, _MEAN])
        # The extremes of each stretch in their order, and the last point of all.
        rises = table[:, _LOW_AT] <= table[:, _HIGH_AT]
        order = np.where(rises[:, None], [_LOW_AT, _HIGH_AT], [_HIGH_AT, _LOW_AT])
        steps = np.take_along_axis(table, order, axis=1).ravel()
        values = np.take_along_axis(table, order + _LOW - _LOW_AT, axis=1).ravel()
        means = np.repeat(table[:, _MEAN], 2)
        end = table[-1]
        return Curve(
            np.append(steps, end[_LAST_AT]),
            np.append(values, end[_LAST]),
            np.append(means, end[_MEAN]),
        )

    def _last_step(self) -> float | int:
        """Return the last step, -inf before the first."""
        if self._open:
            return self._open[-1][0]
        ends = self._stretches[_LAST_AT]
        return ends[-1] if ends else -np.inf

    def _drop_from(self, step: int) -> None:
        """Drop the points from a step on, and stretches that lose their last point."""
        self._open = [point for point in self._open if point[0] < step]
        ends = self._stretches[_LAST_AT]
        while ends and ends[-1] >= step:
            for column in self._stretches:
                column.pop()

    def _close(self) -> None:
        """Make a stretch of the open points; of too many stretches half as many."""
        for column, number in zip(self._stretches, _stretch(self._open), strict=True):
            column.append(number)
        self._open = []
        if len(self._stretches[0]) == MOST:
            self._halve()

    def _halve(self) -> None:
        """Make one stretch of every two."""
        table = np.array(self._stretches)
        first = table[:, 0::2]
        second = table[:, 1::2]
        merged = second.copy()
        lower = first[_LOW] <= second[_LOW]
        for row in (_LOW, _LOW_AT):
            merged[row] = np.where(lower, first[row], second[row])
        higher = first[_HIGH] >= second[_HIGH]
        for row in (_HIGH, _HIGH_AT):
            merged[row] = np.where(higher, first[row], second[row])
        merged[_MEAN] = first[_MEAN] / 2
        merged[_MEAN] += second[_MEAN] / 2
        self._stretches = [array("d", column) for column in merged]
        self._stride *= 2


def _stretch(points: list[tuple[int, float | int]]) -> list[float | int]:
    """Return the numbers of a stretch."""
    values = [value for _, value in points]
    low = values.index(min(values))
    high = values.index(max(values))
    mean = sum(value / len(values) for value in values)
    low_at, lowest = points[low]
    high_at, highest = points[high]
    last_at, last = points[-1]
    return [
        low_at,
        high_at,
        lowest,
        highest,
        mean,
        last_at,
        last,
    ]


@final
@dataclass
class Metrics:
    """The metrics of a run.

    Attributes:
      points: {name: {split: curve}} of what is no clock, in the order of the file.
      speeds: {name: curve} of the training's `<things>_per_second`.
      last_step: the largest; None without any line.
      seconds: the largest.
      lost: numbers that are not finite.
      torn: lines that could not be read.
      crowded: numbers whose metric is one too many.
      damage: why the file could not be read to its end; empty if it could.
    """

    points: dict[str, dict[str, Points]] = field(default_factory=dict)
    speeds: dict[str, Points] = field(default_factory=dict)
    last_step: int | None = None
    seconds: float = 0.0
    lost: int = 0
    torn: int = 0
    crowded: int = 0
    damage: str = ""

    def series(self) -> Series:
        """Return the curves: the loss first, then what is measured in training, then the rest."""
        order = sorted(
            self.points, key=lambda name: (name != "loss", "train" not in self.points[name])
        )
        found = {}
        for name in order:
            splits = self.points[name]
            found[name] = {split: splits[split].curve() for split in splits}
        return found

    def take(self, record: Mapping[str, Any]) -> None:
        """Add a line. Raises the errors of one that is damaged."""
        step = int(record["step"])
        split = printable(str(record.get("split", "train"))[:_MAX_TEXT])
        self.last_step = max(step, self.last_step or step)
        for name, value in record.items():
            if name in ("step", "split") or not number(value):
                continue
            if not finite(value):
                self.lost += name != "seconds" and not name.endswith("_per_second")
            elif name == "seconds":
                self.seconds = max(self.seconds, value)
            else:
                self._add(printable(name[:_MAX_TEXT]), split, step, value)

    def _add(
        self,
        name: str,
        split: str,
        step: int,
        value: float | int,
    ) -> None:
        """Add a number to its curve."""
        speed = name.endswith("_per_second")
        curves = self.speeds if speed else self.points.get(name, {})
        key = name if speed else split
        if key not in curves:
            if len(self.points) + len(self.speeds) + len(curves) >= MAX_NAMES:
                self.crowded += 1
                return
            curves[key] = Points()
            if not speed:
                self.points[name] = curves
        curves[key].add(step, value)


def read(path: Path) -> Metrics:
    """Read a file of metrics, line by line.

    A run that was killed leaves a torn last line, and one that went on from an older checkpoint
    repeats steps: the later line of a step and split stands, and what came after it is dropped.
    """
    found = Metrics()
    try:
        for line in read_lines(path):
            if not line.strip():
                continue
            try:
                found.take(json.loads(line.decode(errors="replace")))
            except _DAMAGED:
                found.torn += 1
    except CheckpointError as error:
        found.damage = printable(str(error))
    return found


def number(value: Any) -> bool:
    """Return whether a value read from JSON is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(value: Any) -> bool:
    """Return whether it is one that can be drawn: beyond 1e300 a plot's arithmetic overflows."""
    return number(value) and abs(value) < 1e300

"""The journal of a run: `metrics.jsonl`, a progress line for a person, TensorBoard if asked."""

import contextlib
import errno
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from jaxgen.arguments import require_extra
from jaxgen.console import printable, say
from jaxgen.errors import StorageError
from jaxgen.files import read_lines, write_parts
from jaxgen.typing import Array

Window = Mapping[str, list[float]]  # {metric: [of each step since the last line]}


class Journal:
    """Collects the metrics of one run, writes and shows them; a context manager.

    Args:
      folder: the run folder.
      steps: how many there shall be.
      batch_size: examples per step.
      begin: the step the run goes on from; later lines of an earlier process are cut off.
      window: what `window()` was at that step.
      tensorboard: write event files too; needs the extra `tensorboard`.
      silent: write and say nothing; of several processes one does.

    Attributes:
      batch_size: examples per step, for the speed; a stage may have its own.
      noun: what is counted in a second: images, or examples of another kind.
      validations: {step: the line of the validation split}, of an earlier process.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        batch_size: int,
        *,
        begin: int,
        window: Window | None = None,
        tensorboard: bool = False,
        silent: bool = False,
    ):
        self._silent = silent
        self._path = Path(os.devnull) if silent else folder / "metrics.jsonl"
        self.validations, seconds = ({}, 0.0) if silent else _cut(self._path, begin)
        self._origin = time.monotonic() - seconds
        self._events = _event_writer(folder) if tensorboard and not silent else None
        try:
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise StorageError(f"{self._path}: not written: {error.strerror}") from error
        self._bar = _progress_bar() if sys.stderr.isatty() and not silent else None
        if self._bar:
            self._task = self._bar.add_task("compiling", total=steps, completed=begin)
        self.batch_size = batch_size
        self.noun = "images"
        self._steps = steps
        self._step = begin
        # of the dispatches since the last line
        self._window: list[Mapping[str, Any]] = [_arrays(window)] if window else []
        self._unwritten: list[str] = []  # lines that the disk refused
        self._mark = time.monotonic()  # since when steps are timed,
        self._timed = 0  # and how many

    def __enter__(self) -> "Journal":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()
        if self._events:
            self._events.close()
        self._file.close()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self._bar:
            self._bar.console.print(printable(text), highlight=False, markup=False)
        elif not self._silent:
            say(text, sys.stderr)

    def add(self, step: int, metrics: Mapping[str, Array]) -> None:
        """Take the metrics [K] of the dispatch that ended at `step`; nothing is fetched yet."""
        if metrics:
            self._window.append(metrics)
        self._timed += step - self._step
        self._step = step

    def compiled(self) -> None:
        """Wait for the first dispatch, which says nothing about the speed to come."""
        jax.block_until_ready(self._window)
        self.say(f"compiled in {time.monotonic() - self._mark:.1f} s")
        self.resume()

    def resume(self) -> None:
        """Start the clock of the training speed again after a pause for something else."""
        self._mark = time.monotonic()
        self._timed = 0

    def window(self) -> Window:
        """Return the metrics of the steps since the last line, as plain JSON."""
        return {name: values.tolist() for name, values in self._series().items()}

    def drop_window(self) -> None:
        """Forget the metrics of the steps since the last line."""
        self._window = []

    def flush(self) -> float:
        """Write and show the means over the steps since the last line; return their seconds."""
        if not self._window:
            return 0.0
        series = self._series()
        seconds = time.monotonic() - self._mark
        self._window = []
        rate = self._timed * self.batch_size / seconds
        self.resume()
        values = {name: round(float(x.mean(dtype=np.float64)), 6) for name, x in series.items()}
        speed = {f"{self.noun}_per_second": round(rate, 1)} if rate else {}
        self.write("train", values | speed)
        self._show(values, rate)
        return seconds

    def write(self, split: str, values: Mapping[str, float]) -> None:
        """Write a line of metrics at the current step; if the disk refuses, with the next one."""
        seconds = round(time.monotonic() - self._origin, 3)
        line = {"step": self._step, "split": split, **values, "seconds": seconds}
        self._unwritten.append(json.dumps(line) + "\n")
        try:
            self._append()
        except StorageError as error:
            self.say(f"warning: {error}")
        if self._events:
            for name, value in values.items():
                self._events.add_scalar(f"{split}/{name}", value, self._step)

    def close(self) -> None:
        """Write what is left; raise StorageError if the disk refuses it to the end."""
        if self._unwritten:
            self._append()

    def _append(self) -> None:
        """Write what is not written, whole lines or nothing. Raises StorageError."""
        whole = os.fstat(self._file.fileno()).st_size
        content = "".join(self._unwritten).encode()
        try:
            if self._file.write(content) != len(content):  # there was room for a part of it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(whole)
            raise StorageError(f"{self._path}: not written: {error.strerror}") from error
        self._unwritten = []

    def _series(self) -> dict[str, np.ndarray]:
        """Return {metric: [of each step since the last line]}."""
        window = jax.device_get(self._window)
        names = window[0] if window else {}
        return {name: np.concatenate([np.asarray(p[name]) for p in window]) for name in names}

    def _show(self, values: Mapping[str, float], rate: float) -> None:
        """Show the metrics, the speed and the time that is left."""
        named = {"loss": values.get("loss"), **values}  # the loss comes first
        shown = {name: value for name, value in named.items() if value is not None}
        text = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        if rate:
            left = (self._steps - self._step) * self.batch_size / rate
            text += f"  {rate:,.0f} {self.noun}/s  {_clock(left)} left"
        if self._bar:
            self._bar.update(self._task, completed=self._step, description=text, refresh=True)
        else:
            self.say(f"step {self._step:>{len(str(self._steps))}}/{self._steps}  {text}")


def _arrays(window: Window) -> dict[str, np.ndarray]:
    """Return a window that was JSON as arrays."""
    return {name: np.asarray(values, np.float32) for name, values in window.items()}


def _cut(path: Path, begin: int) -> tuple[dict[int, dict[str, Any]], float]:
    """Cut off the lines after step `begin` and those torn by a kill, one after the other.

    Returns:
      {step: line} of the validations that are left, and the seconds of the last line.
    """
    validations: dict[int, dict[str, Any]] = {}
    seconds = 0.0

    def kept() -> Iterator[bytes]:
        nonlocal seconds
        for text in read_lines(path):
            try:
                line = json.loads(text)
                whole = {"step", "split", "seconds"} <= line.keys() and line["step"] <= begin
            except (ValueError, AttributeError, TypeError, RecursionError):
                continue
            if not whole:
                continue
            seconds = line["seconds"]
            if line["split"] == "validation":
                validations[line["step"]] = line
            yield text.rstrip(b"\n") + b"\n"

    write_parts(path, kept())
    return validations, seconds


def _progress_bar() -> Progress:
    columns = (
        TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
        BarColumn(bar_width=20),
        TextColumn("{task.description}"),
    )
    return Progress(*columns, console=Console(stderr=True), auto_refresh=False)


def _event_writer(folder: Path) -> Any:
    """Return the writer of TensorBoard's event files."""
    require_extra("tensorboard", "--tensorboard")
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))


def _clock(seconds: float) -> str:
    """Return a duration as h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

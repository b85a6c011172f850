"""What a run tells: `metrics.jsonl` always, a progress line for a person, TensorBoard if asked."""

import contextlib
import errno
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from jaxgen.errors import ConfigError, StorageError
from jaxgen.experiment import Settings
from jaxgen.files import read_file, write_file
from jaxgen.typing import Array

Window = Mapping[str, list[float]]  # {metric: [of each step since the last line]}
_MAX_LINES = 2**30  # bytes of all lines; a day of a line at every step


class Journal:
    """Collects the metrics of one run, writes and shows them; a context manager.

    Args:
      folder: the run folder.
      settings: of the run.
      begin: the step the run goes on from; later lines of an earlier process are cut off.
      window: what `window()` was at that step.
      tensorboard: write event files too; needs the extra `tensorboard`.
      silent: write and say nothing; of several processes one does.

    Attributes:
      validations: {step: the line of the validation split}, of an earlier process.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        *,
        begin: int,
        window: Window | None = None,
        tensorboard: bool = False,
        silent: bool = False,
    ):
        self._silent = silent
        self._path = Path(os.devnull) if silent else folder / "metrics.jsonl"
        kept = [] if silent else _cut(self._path, begin)
        self.validations = {x["step"]: x for x in kept if x["split"] == "validation"}
        self._origin = time.monotonic() - (kept[-1]["seconds"] if kept else 0.0)
        self._events = _event_writer(folder) if tensorboard and not silent else None
        try:
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise StorageError(f"{self._path}: not written: {error.strerror}") from error
        self._bar = _progress_bar() if sys.stderr.isatty() and not silent else None
        if self._bar:
            self._task = self._bar.add_task("compiling", total=settings.steps, completed=begin)
        self._steps, self._batch_size, self._step = settings.steps, settings.batch_size, begin
        # of the dispatches since the last line
        self._window: list[Mapping[str, Any]] = [_arrays(window)] if window else []
        self._unwritten: list[str] = []  # lines that the disk refused
        self._mark, self._timed = time.monotonic(), 0  # when and how many steps were timed

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
        """A line that stays."""
        if self._bar:
            self._bar.console.print(text, highlight=False)
        elif not self._silent:
            print(text, file=sys.stderr, flush=True)

    def add(self, step: int, metrics: Mapping[str, Array]) -> None:
        """Takes the metrics [K] of the dispatch that ended at `step`; nothing is fetched yet."""
        self._window += [metrics] if metrics else []
        self._step, self._timed = step, self._timed + step - self._step

    def compiled(self) -> None:
        """Waits for the first dispatch, which says nothing about the speed to come."""
        jax.block_until_ready(self._window)
        self.say(f"compiled in {time.monotonic() - self._mark:.1f} s")
        self.resume()

    def resume(self) -> None:
        """Starts the clock of the training speed again after a pause for something else."""
        self._mark, self._timed = time.monotonic(), 0

    def window(self) -> Window:
        """The metrics of the steps since the last line, as plain JSON."""
        return {name: values.tolist() for name, values in self._series().items()}

    def flush(self) -> float:
        """Writes and shows the means over the steps since the last line; the seconds they took."""
        if not self._window:
            return 0.0
        series, seconds = self._series(), time.monotonic() - self._mark
        self._window = []
        rate = self._timed * self._batch_size / seconds
        self.resume()
        values = {name: round(float(x.mean(dtype=np.float64)), 6) for name, x in series.items()}
        self.write("train", values | {"images_per_second": round(rate, 1)} if rate else values)
        self._show(values, rate)
        return seconds

    def write(self, split: str, values: Mapping[str, float]) -> None:
        """One line of metrics at the current step; if the disk refuses it, with the next one."""
        seconds = round(time.monotonic() - self._origin, 3)
        line = {"step": self._step, "split": split, **values, "seconds": seconds}
        self._unwritten.append(json.dumps(line) + "\n")
        try:
            self._append()
        except StorageError as error:
            self.say(f"warning: {error}")
        for name, value in values.items() if self._events else ():
            self._events.add_scalar(f"{split}/{name}", value, self._step)

    def close(self) -> None:
        """Raises StorageError if lines could not be written to the end."""
        if self._unwritten:
            self._append()

    def _append(self):
        """Writes what is not written, whole lines or nothing. Raises StorageError."""
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

    def _series(self):
        window = jax.device_get(self._window)
        names = window[0] if window else {}
        return {name: np.concatenate([np.asarray(p[name]) for p in window]) for name in names}

    def _show(self, values, rate):
        named = {"loss": values.get("loss"), **values}  # the loss comes first
        shown = {name: value for name, value in named.items() if value is not None}
        text = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        if rate:
            left = (self._steps - self._step) * self._batch_size / rate
            text += f"  {rate:,.0f} images/s  {_clock(left)} left"
        if self._bar:
            self._bar.update(self._task, completed=self._step, description=text, refresh=True)
        else:
            self.say(f"step {self._step:>{len(str(self._steps))}}/{self._steps}  {text}")


def _arrays(window):
    return {name: np.asarray(values, np.float32) for name, values in window.items()}


def _cut(path, begin):
    """Cuts the lines after step `begin` off, with those torn by a kill, and returns the rest."""
    kept = []
    for text in (read_file(path, _MAX_LINES) or b"").splitlines():
        try:
            line = json.loads(text)
            line["step"], line["split"], line["seconds"]
        except (ValueError, TypeError, KeyError):
            continue
        kept.append(line)
    kept = [line for line in kept if line["step"] <= begin]
    write_file(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
    return kept


def _progress_bar():
    columns = (
        TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
        BarColumn(bar_width=20),
        TextColumn("{task.description}"),
    )
    return Progress(*columns, console=Console(stderr=True), auto_refresh=False)


def _event_writer(folder):
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "--tensorboard needs a package that is not installed.\n"
            "Try: pip install 'jaxgen[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"))


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

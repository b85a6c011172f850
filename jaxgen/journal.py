"""What a run tells: `metrics.jsonl` always, a progress line for a person, TensorBoard if asked."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from jaxgen.errors import ConfigError, NonFiniteError, StorageError
from jaxgen.experiment import Settings
from jaxgen.files import write_file


class Journal:
    """Collects the metrics of one run, writes and shows them; a context manager.

    Args:
      folder: the run folder.
      settings: of the run.
      begin: the step the run goes on from; later lines of an earlier process are cut off.
      tensorboard: write event files too; needs the extra `tensorboard`.
    """

    def __init__(self, folder: Path, settings: Settings, *, begin: int, tensorboard: bool = False):
        self._path = folder / "metrics.jsonl"
        kept = _cut(self._path, begin)
        self._origin = time.monotonic() - (kept[-1]["seconds"] if kept else 0.0)
        self._events = _event_writer(folder) if tensorboard else None
        try:
            self._file = self._path.open("a")
        except OSError as error:
            raise StorageError(f"{self._path}: not written: {error.strerror}") from error
        self._bar = _progress_bar() if sys.stderr.isatty() else None
        if self._bar:
            self._task = self._bar.add_task("compiling", total=settings.steps, completed=begin)
        self._steps, self._batch_size, self._step = settings.steps, settings.batch_size, begin
        self._window: list[Mapping[str, jax.Array]] = []  # of the dispatches since the last line
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
        else:
            print(text, file=sys.stderr, flush=True)

    def add(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
        """Takes the metrics [K] of the dispatch that ended at `step`; nothing is fetched yet."""
        self._window.append(metrics)
        self._step, self._timed = step, self._timed + step - self._step

    def compiled(self) -> None:
        """Waits for the first dispatch, which says nothing about the speed to come."""
        jax.block_until_ready(self._window)
        self.say(f"compiled in {time.monotonic() - self._mark:.1f} s")
        self.resume()

    def resume(self) -> None:
        """Starts the clock of the training speed again after a pause for something else."""
        self._mark, self._timed = time.monotonic(), 0

    def flush(self) -> None:
        """Writes and shows the means over the steps since the last line.

        Raises:
          NonFiniteError: a metric of one of these steps is NaN or infinite.
        """
        if not self._window:
            return
        window = jax.device_get(self._window)
        self._window = []
        series = {name: np.concatenate([part[name] for part in window]) for name in window[0]}
        self._require_finite(series)
        rate = self._timed * self._batch_size / (time.monotonic() - self._mark)
        self.resume()
        values = {name: round(float(x.mean(dtype=np.float64)), 6) for name, x in series.items()}
        self.write("train", values | {"images_per_second": round(rate, 1)} if rate else values)
        self._show(values, rate)

    def write(self, split: str, values: Mapping[str, float]) -> None:
        """One line of metrics at the current step. Raises StorageError if the disk refuses it."""
        seconds = round(time.monotonic() - self._origin, 3)
        line = {"step": self._step, "split": split, **values, "seconds": seconds}
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise StorageError(f"{self._path}: not written: {error}") from error
        for name, value in values.items() if self._events else ():
            self._events.add_scalar(f"{split}/{name}", value, self._step)

    def _require_finite(self, series):
        for name, values in series.items():
            finite = np.isfinite(values)
            if not finite.all():
                first = int(np.argmin(finite))
                raise NonFiniteError(
                    f"step {self._step - len(values) + first + 1}: {name} is {values[first]}. "
                    "The last checkpoint is kept.\nTry: a smaller --optimizer.learning-rate, or "
                    "--optimizer.clip-norm 1"
                )

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


def _cut(path, begin):
    """Cuts the lines after step `begin` off, with a line torn by a kill, and returns the rest."""
    kept = []
    for text in path.read_bytes().splitlines() if path.exists() else ():
        try:
            line = json.loads(text)
            line["step"], line["seconds"]
        except (ValueError, TypeError, KeyError):
            break
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

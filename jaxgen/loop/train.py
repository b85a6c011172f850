"""Training from Python, in one call.

    import jaxgen
    from jaxgen.vae import vae

    model = vae.mlp((8, 8, 1), latent_dim=8, hidden=(200,))
    run = jaxgen.train(model, "digits", steps=1000, workdir="runs/mine")
    x = run.sample(jax.random.key(0), 64)

The loop is the one that recipes run in: what it writes, `jaxgen.load` and the verbs of the command
line read.
"""

import inspect
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from jaxgen.data import Data, Dataset, from_arrays, resolved
from jaxgen.errors import ConfigError, JaxgenError
from jaxgen.experiment import Experiment, Optimizer, Settings
from jaxgen.experiment.spec import types_in
from jaxgen.loop import loop
from jaxgen.loop.dispatch import OnNaN
from jaxgen.runs.folder import CHECKPOINTS
from jaxgen.runs.loaded import Examples, Run, known_classes, load
from jaxgen.runs.steps import PlainSteps
from jaxgen.typing import Model

_FLAG = re.compile(r"(?:(?<=\s)|^)--([a-z][a-z0-9]*(?:[.-][a-z0-9]+)*)")


@contextmanager
def _in_words_of_python() -> Iterator[None]:
    """Name arguments in the place of flags in what is raised: `on_nan`, not `--on-nan`."""
    try:
        yield
    except JaxgenError as error:
        message = _FLAG.sub(lambda flag: flag[1].replace("-", "_"), str(error))
        error.args = (message,)
        raise


@_in_words_of_python()
def train(
    model: Model,
    data: Examples,
    steps: int,
    *,
    workdir: str | os.PathLike[str] | None = None,
    batch_size: int = 128,
    optimizer: Optimizer | Sequence[Optimizer] = Optimizer(),  # noqa: B008 (frozen)
    order: Literal["alternating", "simultaneous"] = "alternating",
    seed: int = 0,
    ema_decay: float = 0.0,
    precision: Literal["float32", "bfloat16"] = "float32",
    log_every: int = 100,
    evaluate_every: int = 1000,
    sample_every: int = 1000,
    checkpoint_every: int = 1000,
    on_nan: str = "stop",
    tensorboard: bool = False,
) -> Run:
    """Train a model and return the run, as `jaxgen.load` would.

    Of arrays and data sets that the program made a run keeps the hashes alone. The verbs of the
    command line that need data (`evaluate`, `check`, `reconstruct`, `complete`) cannot have them;
    `sample`, `report` and, of a model with latent variables, `interpolate` can do without. From
    Python, `jaxgen.load(folder, data=...)` takes them again, and `jaxgen.runs.measure.evaluate`
    takes the run.

    Args:
      model: of a family of jaxgen or your own.
      data: the name of a data set or a path, as `--data.name` takes it; a `Data`, for another
        transform than to binarise; a `Dataset`; or arrays: images [N, ...] or {'image': [N, ...],
        'label': [N], ...}, of which a tenth each becomes the validation and the test split. Whole
        numbers are binarised and real ones left as they are: `jaxgen.data.from_arrays` has more to
        choose from.
      steps: training steps.
      workdir: the run folder; started again in it, a run goes on where it was. Default: a folder
        that is removed when the returned run is no longer in use. After an error or Ctrl-C it is
        kept, and named by the error, if it holds a checkpoint.
      batch_size: examples per step, over all devices.
      optimizer: of all players alike, or one for each of them in their order.
      order: in which players move, see `train_step`.
      seed: parameters, noise and the order of the data follow from it.
      ema_decay: fraction kept per step by an average of the parameters, used for evaluation.
      precision: what the model was built to compute in, for the record.
      log_every: steps between lines of metrics.
      evaluate_every: steps between evaluations on the validation split.
      sample_every: steps between pictures.
      checkpoint_every: steps between checkpoints.
      on_nan: stop at a step whose loss or gradient is not finite, or 'skip:K' to leave out up to K.
      tensorboard: write TensorBoard event files too.

    Raises:
      ConfigError: an argument that cannot work, or a class of yours that has the name of one that
        jaxgen exports.
      JaxgenError: whatever `loop.run` raises.
    """
    config, dataset = _data(data)
    settings = Settings(
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        precision=precision,
        ema_decay=ema_decay,
        log_every=log_every,
        evaluate_every=evaluate_every,
        sample_every=sample_every,
        checkpoint_every=checkpoint_every,
    )
    experiment = Experiment(model, settings, config, _optimizers(model, optimizer), order)
    classes = types_in(experiment)
    known_classes(classes)  # before the training, not after it
    choice = OnNaN.parse(on_nan)
    folder = Path(tempfile.mkdtemp(prefix="jaxgen-") if workdir is None else workdir)
    try:
        loop.run(
            experiment,
            folder,
            recipe=type(model).__name__,
            tensorboard=tensorboard,
            on_nan=choice,
            dataset=dataset,
        )
        run = load(folder, classes)
    except BaseException as error:
        if workdir is None:
            _leave(folder, error)
        raise
    run = replace(run, held=dataset)
    if workdir is None:
        weakref.finalize(run, shutil.rmtree, folder, ignore_errors=True)
    return run


def _leave(folder: Path, error: BaseException) -> None:
    """Remove a folder without a checkpoint; of another say in the error how to go on in it."""
    checkpoints = folder / CHECKPOINTS
    if not checkpoints.is_dir() or not list(PlainSteps().find_all(checkpoints)):
        shutil.rmtree(folder, ignore_errors=True)
        return
    hint = f"The run is kept. To go on: jaxgen.train(..., workdir={str(folder)!r})"
    if isinstance(error, JaxgenError):
        error.args = (f"{error}\n{hint}",)
    else:
        error.add_note(hint)


def _data(data: Examples) -> tuple[Data, Dataset | None]:
    """Return the choice of data, and the data themselves where they are there already."""
    if isinstance(data, Data):
        return data, None
    if isinstance(data, str | os.PathLike):
        return Data(os.fspath(data)), None
    dataset = data if isinstance(data, Dataset) else from_arrays(data)
    config = resolved(dataset.config)
    return config, replace(dataset, config=config)


def _optimizers(model: Any, given: Optimizer | Sequence[Optimizer]) -> tuple[Optimizer, ...]:
    """Return one optimiser for each player. Raises ConfigError unless there are as many."""
    players = inspect.signature(model.players).parameters
    if isinstance(given, Optimizer):
        return (given,) * len(players)
    optimizers = tuple(given)
    if len(optimizers) != len(players):
        raise ConfigError(
            f"optimizer: got {len(optimizers)}, but {type(model).__name__} takes {len(players)}, "
            f"one for each player: {', '.join(players)}"
        )
    return optimizers

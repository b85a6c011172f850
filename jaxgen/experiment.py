"""An experiment: a model, its data, its optimisers and the settings every recipe shares.

It is plain data, so a run folder records it whole and nothing else is needed to load the run.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import jax
import numpy as np
import tyro

from jaxgen.data import Data, Dataset
from jaxgen.errors import ConfigError
from jaxgen.optimizer import Optimizer
from jaxgen.ranges import COUNT, SIZE, require_fraction, require_within
from jaxgen.train import Key, Player, TrainState, init_state


@dataclass(frozen=True)
class Settings:
    """The flags that every recipe has."""

    steps: int
    """Training steps."""
    batch_size: int = 128
    """Examples per step, over all devices."""
    seed: int = 0
    """Parameters, noise and the order of the data follow from it."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What the networks compute in; parameters stay float32."""
    ema_decay: float = 0.0
    """Fraction kept per step by an average of the parameters, used for evaluation; 0: none."""
    log_every: int = 100
    """Steps between lines of metrics."""
    evaluate_every: int = 1000
    """Steps between evaluations on the validation split."""
    sample_every: int = 1000
    """Steps between pictures."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""

    def __post_init__(self):
        require_within(1, COUNT, **{"--steps": self.steps})
        require_within(1, SIZE, **{"--batch-size": self.batch_size})
        require_within(0, 2**32 - 1, **{"--seed": self.seed})
        require_fraction(**{"--ema-decay": self.ema_decay})
        for name in ("log", "evaluate", "sample", "checkpoint"):
            require_within(1, COUNT, **{f"--{name}-every": getattr(self, f"{name}_every")})


CommonFlags = Annotated[Settings, tyro.conf.arg(name="")]  # flags without a prefix


@dataclass(frozen=True)
class Experiment:
    """What `loop.run` trains.

    Attributes:
      model: a dataclass of networks and numbers, see `jaxgen.vae`.
      settings: steps, batch size, seed and the rest of the common flags.
      data: which data, and how an example is made of it.
      optimizers: one for each of the model's players, in their order.
      order: in which players move, see `train_step`.
    """

    model: Any
    settings: Settings
    data: Data = field(default_factory=Data)
    optimizers: tuple[Optimizer, ...] = (Optimizer(),)
    order: Literal["alternating", "simultaneous"] = "alternating"

    def players(self) -> tuple[Player, ...]:
        """The model's players, each with its optimiser."""
        return self.model.players(*[tx.build(self.settings.steps) for tx in self.optimizers])

    def fresh_state(self, key: Key) -> TrainState:
        """The state before the first step. Jit it: eager initialisation is slow."""
        init_key, step_key = jax.random.split(key)
        variables = self.model.init(init_key)
        ema = self.settings.ema_decay > 0
        return init_state(step_key, variables, self.players(), ema=ema)

    def abstract_state(self) -> TrainState:
        """Shapes and dtypes of the state, without computing it."""
        return jax.eval_shape(self.fresh_state, jax.random.key(0))


def require_fit(model: Any, dataset: Dataset) -> None:
    """Raises ConfigError unless the model is one of these data.

    The shapes must agree, a model with an observation must be over as many values as the data
    take (a density of whole numbers, or a Bernoulli of grey pixels, is no likelihood), and one that
    is conditioned on a class, or names classes, needs data with as many. The bounded samples of a
    generator must lie where the data lie.
    """
    if tuple(model.shape) != dataset.shape:
        raise ConfigError(
            f"--data.name {dataset.config.name}: examples are {list(dataset.shape)}, "
            f"the model is for {list(model.shape)}"
        )
    observation = getattr(model, "observation", None)
    if observation is not None and observation.values != dataset.values:
        raise ConfigError(
            f"--data.transform {dataset.config.transform}: gives {_kind(dataset.values)}, but "
            f"{type(observation).__name__} is for {_kind(observation.values)}.\n"
            "Try: binarise for Bernoulli, levels for Categorical or DiscretizedLogistic, "
            "dequantise for Gaussian"
        )
    for name, what in (("num_classes", "is conditioned on"), ("num_labels", "names")):
        num = getattr(model, name, 0)
        if num and num != dataset.num_classes:
            raise ConfigError(
                f"--data.name {dataset.config.name}: has {dataset.num_classes or 'no'} classes, "
                f"the model {what} {num}"
            )
    _require_range(getattr(model, "range", None), dataset)


def _require_range(samples, dataset):
    """A discriminator tells -1 from 0 at a glance: samples of other bounds than the data's lose."""
    data = dataset.range
    if samples is None or not np.isfinite(samples).all() or tuple(samples) == data:
        return
    low, high = samples
    given = f"values in [{data[0]:g}, {data[1]:g}]" if data else "numbers without bounds"
    raise ConfigError(
        f"--data.transform {dataset.config.transform}: gives {given}, but samples lie in "
        f"[{low:g}, {high:g}].\nTry: symmetric for tanh, unit for sigmoid"
    )


def _kind(values):
    return "real numbers" if values is None else f"{values} values"

"""An experiment: a model, its data, its optimisers and the settings every recipe shares.

It is plain data, so a run folder records it whole and nothing else is needed to load the run.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import optax
import tyro

from jaxgen.arguments import COUNT, SIZE, require_fraction, require_within
from jaxgen.data import Data
from jaxgen.errors import ConfigError
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.state import Player, TrainState, by_name, init_state
from jaxgen.typing import Key


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
    """Numbers that the networks compute in; parameters stay float32."""
    ema_decay: float = 0.0
    """Fraction kept per update by an average of the parameters, used for evaluation; 0: none."""
    log_every: int = 100
    """Steps between lines of metrics."""
    evaluate_every: int = 1000
    """Steps between evaluations on the validation split."""
    sample_every: int = 1000
    """Steps between pictures."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        require_within(1, COUNT, **{"--steps": self.steps})
        require_within(1, SIZE, **{"--batch-size": self.batch_size})
        require_within(0, 2**32 - 1, **{"--seed": self.seed})
        require_fraction(**{"--ema-decay": self.ema_decay})
        for name in ("log", "evaluate", "sample", "checkpoint"):
            require_within(1, COUNT, **{f"--{name}-every": getattr(self, f"{name}_every")})


RULES = 2  # of today
CommonFlags = Annotated[Settings, tyro.conf.arg(name="")]  # flags without a prefix


@dataclass(frozen=True)
class Experiment:
    """The matter of a run: one stage, and those before it.

    Steps are counted over all stages: the second stage of 100 and 50 steps takes steps 101 to 150.

    Attributes:
      model: a dataclass of networks and numbers, see `jaxgen.vae`; `model.frozen`, if it is there,
        names networks that no player moves.
      settings: steps, batch size, seed and the rest of the common flags; of this stage.
      data: which data, and how an example is made of it.
      optimizers: one for each of the model's players, in their order.
      order: in which players move, see `train_step`.
      after: the stage before, if there is one; this one begins with what it left.
      rules: by which averages and schedules count. 2, today's: the average moves with the updates
        of each network, warmed up, and a schedule spans the steps of the stage. 1, of records of
        formats 1 to 3: it moves at every step, from the initial weights, and a schedule spans as
        many moves of each player. A run goes on by the rules that it was begun with.
    """

    model: Any
    settings: Settings
    data: Data = field(default_factory=Data)
    optimizers: tuple[Optimizer, ...] = (Optimizer(),)
    order: Literal["alternating", "simultaneous"] = "alternating"
    after: "Experiment | None" = None
    rules: int = RULES

    def __post_init__(self) -> None:
        require_within(1, RULES, rules=self.rules)

    def stages(self) -> tuple["Experiment", ...]:
        """Return all stages, the first one first; this is the last."""
        before = self.after.stages() if self.after else ()
        return (*before, self)

    @property
    def begin(self) -> int:
        """The step that this stage goes on from."""
        return self.after.end if self.after else 0

    @property
    def end(self) -> int:
        """The last step of this stage."""
        return self.begin + self.settings.steps

    def owner(self, step: int) -> "Experiment":
        """Return the stage that made the state of a step; beyond the end it is the last."""
        for stage in self.stages():
            if step <= stage.end:
                return stage
        return self

    @property
    def frozen(self) -> tuple[str, ...]:
        """The networks that no player moves."""
        return tuple(getattr(self.model, "frozen", ()))

    def players(self) -> tuple[Player, ...]:
        """Return the model's players, each with its optimiser.

        Raises:
          ConfigError: players that move at different intervals share a schedule.
        """
        steps = self.settings.steps
        if self.rules == 1:
            by_moves = [optimizer.build_by_moves(steps) for optimizer in self.optimizers]
            return self.model.players(*by_moves)
        markers = tuple(optax.identity() for _ in self.optimizers)
        marked = self.model.players(*markers)
        transformations = []
        for number, optimizer in enumerate(self.optimizers):
            every = _interval(marked, markers, number)
            made = optimizer.build(steps, every=every)
            transformations.append(made)
        return self.model.players(*transformations)

    def counts_alike(self) -> bool:
        """Return whether all rules make the same run: no average, and no schedule of few moves."""
        if self.settings.ema_decay:
            return False
        scheduled = any(optimizer.is_scheduled for optimizer in self.optimizers)
        accumulated = any(optimizer.accumulate > 1 for optimizer in self.optimizers)
        seldom = any(player.every > 1 for player in self.players())
        return not scheduled or not (accumulated or seldom)

    def fresh_state(self, key: Key) -> TrainState:
        """Return the state before the first step. Jit it: eager initialisation is slow."""
        init_key, step_key = jax.random.split(key)
        variables = self.model.init(init_key)
        ema = self.settings.ema_decay > 0
        state = init_state(step_key, variables, self.players(), ema=ema, frozen=self.frozen)
        return state.replace(ema_updates=None) if self.rules == 1 else state

    def first_state(self, key: Key) -> TrainState:
        """Return the state that a run begins with: the first stage's."""
        return self.stages()[0].fresh_state(key)

    def next_state(self, key: Key, before: TrainState) -> TrainState:
        """Return this stage's state before its first step, from the last one of the stage before.

        The model's `take_over(fresh, old) -> variables` says what goes on; by default every array
        of the same path, shape and dtype. Optimisers begin anew, and so do averages: until a
        network's first update its average is what that of the stage before left.

        Args:
          key: of the run; the stage's own is folded out of it.
          before: the last state of the stage before.
        """
        number = len(self.stages())
        fresh = self.fresh_state(jax.random.fold_in(key, number))
        take_over = getattr(self.model, "take_over", by_name)
        variables = take_over(fresh.variables, before.variables)
        average = None
        if fresh.ema is not None:
            old = before.variables if before.ema is None else before.ema
            taken = take_over(fresh.variables, old)
            average = jax.tree.map(jnp.copy, taken)
        return fresh.replace(step=before.step, variables=variables, ema=average)

    def abstract_state(self) -> TrainState:
        """Return the shapes and dtypes of the state, without computing it."""
        return jax.eval_shape(self.fresh_state, jax.random.key(0))


def _interval(
    players: tuple[Player, ...],
    transformations: tuple[optax.GradientTransformation, ...],
    number: int,
) -> int:
    """Return the `every` of the players that an optimiser is for.

    They are known by having it; where the model wraps what it is given, by their order.
    """
    found = {player.every for player in players if player.tx is transformations[number]}
    if len(found) > 1:
        raise ConfigError(
            f"optimizers[{number}] is shared by players that move every {sorted(found)} steps: "
            "its schedule cannot span them all. Give each its own"
        )
    if found:
        return found.pop()
    return players[number].every if len(players) == len(transformations) else 1

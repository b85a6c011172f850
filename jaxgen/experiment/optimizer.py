"""An optimiser as plain numbers: what optax is to be told, in a form that a run can record."""

from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxgen.arguments import COUNT, LARGE, SMALL, require_fraction, require_within


@dataclass(frozen=True)
class Optimizer:
    """Adam (decoupled weight decay) or another by optax's name, with clipping and a schedule.

    A schedule is a function of the step of the stage, whether or not the player moves at each: an
    update takes the rate of the step at which its first gradient is computed.

    Attributes:
      name: 'adam', 'adamax', 'sgd' (with `beta1` as momentum) or 'adagrad'.
      learning_rate: the peak of the schedule.
      schedule: 'constant'; 'cosine' or 'linear' to zero at the last step; 'step', by `decay` at
        every `decay_steps`.
      warmup_steps: steps of a linear rise from zero to the peak.
      beta1: decay of the first moment.
      beta2: decay of the second moment.
      epsilon: added to the root of the second moment.
      weight_decay: decoupled, multiplied by the learning rate.
      clip_norm: largest global gradient norm; 0 leaves gradients as they are.
      accumulate: micro-batches, a move each, averaged per update.
      decay: factor of the schedule 'step'.
      decay_steps: steps between two factors of the schedule 'step'.
    """

    name: Literal["adam", "adamax", "sgd", "adagrad"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine", "linear", "step"] = "constant"
    warmup_steps: int = 0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    accumulate: int = 1
    decay: float = 0.5
    decay_steps: int = 1000

    def __post_init__(self) -> None:
        for least, most, fields in (
            (SMALL, LARGE, ("learning_rate", "epsilon")),
            (0, LARGE, ("weight_decay", "clip_norm")),
            (0, COUNT, ("warmup_steps",)),
            (SMALL, 1, ("decay",)),
            (1, COUNT, ("accumulate", "decay_steps")),
        ):
            named = {f"optimizer.{field}": getattr(self, field) for field in fields}
            require_within(least, most, **named)
        require_fraction(**{"optimizer.beta1": self.beta1, "optimizer.beta2": self.beta2})

    @property
    def is_scheduled(self) -> bool:
        """True where the rate is not the same at each step."""
        return self.schedule != "constant" or self.warmup_steps > 0

    def build(self, steps: int, *, every: int = 1) -> optax.GradientTransformation:
        """Return the optax transformation for a run of `steps` steps.

        Args:
          steps: of the stage.
          every: the player moves on the steps divisible by it.
        """
        # Bounded, so that a step number is an int32.
        stride = min(every * self.accumulate, COUNT)
        last = COUNT // stride
        by_step = self._schedule(steps, self.warmup_steps, self.decay_steps)
        if stride == 1 or not callable(by_step):
            return self._chain(by_step)

        def by_update(count: ArrayLike) -> Any:
            return by_step(stride * jnp.minimum(count, last))

        return self._chain(by_update)

    def build_by_moves(self, steps: int) -> optax.GradientTransformation:
        """Return what `build` did for runs whose records are of formats 1 to 3.

        The schedule spans `steps` moves, however many the player makes, and interval and warm-up
        are rounded down to whole updates.
        """
        warmup = self.warmup_steps // self.accumulate
        interval = max(self.decay_steps // self.accumulate, 1)
        return self._chain(self._schedule(steps // self.accumulate, warmup, interval))

    def _chain(self, rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
        """Return the whole transformation with a rate, or one by updates."""
        parts = [optax.clip_by_global_norm(self.clip_norm)] if self.clip_norm else []
        parts.append(self._scaling())
        if self.weight_decay:
            parts.append(optax.add_decayed_weights(self.weight_decay))
        parts.append(optax.scale_by_learning_rate(rate))
        chain = optax.chain(*parts)
        if self.accumulate == 1:
            return chain
        # optax adds up in float32 unless told otherwise.
        dtype = jnp.result_type(float)
        accumulation = optax.MultiSteps(chain, self.accumulate, accumulator_dtype=dtype)
        return accumulation.gradient_transformation()

    def _scaling(self) -> optax.GradientTransformation:
        """Return the transformation that makes a direction of a gradient."""
        if self.name == "sgd":
            return optax.trace(self.beta1)
        if self.name == "adagrad":
            return optax.scale_by_rss(initial_accumulator_value=0.1, eps=self.epsilon)
        if self.name == "adamax":
            return optax.scale_by_adamax(self.beta1, self.beta2, self.epsilon)
        return optax.scale_by_adam(self.beta1, self.beta2, self.epsilon)

    def _schedule(self, steps: int, warmup: int, interval: int) -> optax.ScalarOrSchedule:
        """Return the learning rate by steps.

        Args:
          steps: until the end.
          warmup: steps of the rise.
          interval: steps between two factors of the schedule 'step'.
        """
        if self.schedule == "cosine":
            first = 0.0 if warmup else self.learning_rate
            return optax.warmup_cosine_decay_schedule(
                init_value=first,
                peak_value=self.learning_rate,
                warmup_steps=warmup,
                decay_steps=max(steps, warmup + 1),
            )
        rising = optax.linear_schedule(0.0, self.learning_rate, warmup)
        if self.schedule == "constant":
            return rising if warmup else self.learning_rate
        falling = self._falling(max(steps - warmup, 1), interval)
        return optax.join_schedules([rising, falling], [warmup]) if warmup else falling

    def _falling(self, steps: int, interval: int) -> optax.Schedule:
        """Return the schedule 'linear' or 'step' from the peak on, over so many steps."""
        if self.schedule == "linear":
            return optax.linear_schedule(self.learning_rate, 0.0, steps)
        return optax.exponential_decay(self.learning_rate, interval, self.decay, staircase=True)

"""An optimiser as plain numbers: what optax is to be told, in a form that a run can record."""

from dataclasses import dataclass
from typing import Literal

import optax

from jaxgen.ranges import COUNT, LARGE, SMALL, require_fraction, require_within


@dataclass(frozen=True)
class Optimizer:
    """Adam (decoupled weight decay) or SGD, with clipping, a schedule and accumulation.

    Attributes:
      name: 'adam', 'sgd' (with `beta1` as momentum) or 'adagrad'.
      learning_rate: the peak of the schedule.
      schedule: 'constant', or 'cosine' to zero at the last step.
      warmup_steps: linear from zero to the peak.
      beta1: decay of the first moment.
      beta2: decay of the second moment.
      epsilon: added to the root of the second moment.
      weight_decay: decoupled, multiplied by the learning rate.
      clip_norm: largest global gradient norm; 0 leaves gradients as they are.
      accumulate: micro-batches averaged per update.
    """

    name: Literal["adam", "sgd", "adagrad"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = 0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    accumulate: int = 1

    def __post_init__(self):
        for least, most, fields in (
            (SMALL, LARGE, ("learning_rate", "epsilon")),
            (0, LARGE, ("weight_decay", "clip_norm")),
            (0, COUNT, ("warmup_steps",)),
            (1, COUNT, ("accumulate",)),
        ):
            named = {f"optimizer.{field}": getattr(self, field) for field in fields}
            require_within(least, most, **named)
        require_fraction(**{"optimizer.beta1": self.beta1, "optimizer.beta2": self.beta2})

    def build(self, steps: int) -> optax.GradientTransformation:
        """The optax transformation for a run of `steps` steps."""
        parts = [optax.clip_by_global_norm(self.clip_norm)] if self.clip_norm else []
        parts.append(self._scaling())
        if self.weight_decay:
            parts.append(optax.add_decayed_weights(self.weight_decay))
        parts.append(
            optax.scale_by_learning_rate(
                self._schedule(steps // self.accumulate, self.warmup_steps // self.accumulate)
            )
        )
        chain = optax.chain(*parts)
        if self.accumulate == 1:
            return chain
        return optax.MultiSteps(chain, self.accumulate).gradient_transformation()

    def _scaling(self):
        if self.name == "sgd":
            return optax.trace(self.beta1)
        if self.name == "adagrad":
            return optax.scale_by_rss(initial_accumulator_value=0.1, eps=self.epsilon)
        return optax.scale_by_adam(self.beta1, self.beta2, self.epsilon)

    def _schedule(self, steps, warmup):
        if self.schedule == "cosine":
            return optax.warmup_cosine_decay_schedule(
                init_value=0.0 if warmup else self.learning_rate,
                peak_value=self.learning_rate,
                warmup_steps=warmup,
                decay_steps=max(steps, warmup + 1),
            )
        if warmup:
            return optax.linear_schedule(0.0, self.learning_rate, warmup)
        return self.learning_rate

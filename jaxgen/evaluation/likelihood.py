"""What a model says about held-out data, in nats, with standard errors.

For a model with latent variables one set of importance weights w_i = p(x, z_i) / q(z_i | x) gives

    ELBO = E mean_i log w_i  <=  IWAE-k = E log mean_i w_i  <=  log p(x),

the first inequality for every draw (Jensen), the second in expectation. A unit is active if its
posterior mean varies over the data: Var_x(E_q[z_j]) > 0.01 (Burda et al., 2016, section 5.2).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.autoregressive import chain_rule
from jaxgen.distributions import log_mean_exp
from jaxgen.train import Key, Variables

BATCH = 100  # examples per dispatch; part of the protocol, for the noise depends on it
_CHUNK = 50  # importance samples decoded at once, which bounds the memory


@dataclass(frozen=True)
class Record:
    """A measured number and how it was measured.

    Attributes:
      metric: its name, 'elbo' or 'iwae_500'.
      value: the mean over examples.
      standard_error: of the mean over examples; None where the number is no mean.
      unit: 'nats', 'bits/dim', 'units', ...
      split: which data.
      num: how many examples.
      protocol: everything else that the number depends on, for a person.
    """

    metric: str
    value: float | int
    standard_error: float | None
    unit: str
    split: str
    num: int
    protocol: str


def per_example(
    function: Callable[[Any, Key], dict[str, jax.Array]], x: Any, key: Key
) -> dict[str, np.ndarray]:
    """`function` over batches of `x` [N, ...], an array or a tree of them: {name: [N, ...]}.

    The last batch is filled up with copies, so that there is one compilation and `function` sees
    one shape; batch i draws from `fold_in(key, i)`.
    """
    parts, num = [], len(jax.tree.leaves(x)[0])
    for i, start in enumerate(range(0, num, BATCH)):
        indices = np.minimum(np.arange(start, start + BATCH), num - 1)
        values = function(jax.tree.map(lambda leaf: leaf[indices], x), jax.random.fold_in(key, i))  # noqa: B023 (called at once)
        parts.append({name: np.asarray(value) for name, value in values.items()})
    return {name: np.concatenate([p[name] for p in parts])[:num] for name in parts[0]}


def measure(
    model: Any,
    variables: Variables,
    x: np.ndarray,
    key: Key,
    *,
    num_samples: int,
    fields: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> dict[str, np.ndarray]:
    """All that the model can say about each example, by the methods it has.

    Args:
      model: with `log_prob`, or `log_weights` and `terms`, or `squared_error`.
      variables: of the model.
      x: [N, *shape], in the model's space.
      key: randomness of the posterior draws.
      num_samples: k, the importance samples per example.
      fields: what else is known of the examples, {'label': [N]}: a conditional model looks there.

    Returns:
      Of {log_prob, log_prob_given_label, bayes_accuracy, accuracy, elbo, iwae, gap, kl,
      squared_error: [N],
      code: [N, Z]} what the model has; nats, but for the squared error and the accuracy. `gap` is
      log_prob - iwae, >= 0 in expectation. Of a class-conditional model `log_prob` is the marginal
      under equally probable classes, and the accuracy that of the class with the largest p(x | y).
    """
    batch = {**fields, "image": x}
    wanted = ("image", *chain_rule.conditions(model, batch), *_labels(model, batch))
    batch = {name: batch[name] for name in wanted}
    return per_example(partial(_measure(model, num_samples), variables), batch, key)


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """The mean over examples and its standard error (NaN for a single example)."""
    values = values.astype(np.float64)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return float(values.mean()), float(error)


def active_units(code: np.ndarray, threshold: float = 1e-2) -> int:
    """How many of the latent dimensions of `code` [N, Z] vary over the data."""
    return int((code.var(axis=0) > threshold).sum())


def importance_weights(
    model: Any, variables: Variables, x: jax.Array, key: Key, num_samples: int
) -> jax.Array:
    """`model.log_weights`, [num_samples, B], in chunks that bound the memory."""
    chunk = max(size for size in range(1, _CHUNK + 1) if num_samples % size == 0)
    keys = jax.random.split(key, num_samples // chunk)
    weights = jax.lax.map(lambda key: model.log_weights(variables, x, key, chunk), keys)
    return weights.reshape(num_samples, x.shape[0])


@lru_cache(maxsize=32)
def _measure(model, num_samples):
    """The compiled function behind `measure`, one for each model and k."""

    def function(variables, batch, key):
        x, found = batch["image"], {}
        if hasattr(model, "log_prob"):
            found |= _log_prob(model, variables, batch)
        if hasattr(model, "log_weights"):
            weights = importance_weights(model, variables, x, key, num_samples)
            found["elbo"] = weights.mean(axis=0)
            found["iwae"] = log_mean_exp(weights, axis=0)
            if "log_prob" in found:
                found["gap"] = found["log_prob"] - found["iwae"]
            found["kl"] = model.terms(variables, x, key).kl.sum(axis=-1)
        if hasattr(model, "squared_error"):
            found["squared_error"] = model.squared_error(variables, x)
        if _labels(model, batch):
            right = model.classify(variables, x).argmax(axis=-1) == batch["label"]
            found["accuracy"] = right.astype(jnp.float32)
        if hasattr(model, "encode"):
            found["code"] = model.encode(variables, x)
        return found

    return jax.jit(function)


def _labels(model, batch):
    """('label',) for a classifier of the data's classes on labelled data, else ()."""
    return ("label",) if getattr(model, "num_labels", 0) and "label" in batch else ()


def _log_prob(model, variables, batch):
    """What a model with an exact density says; of all its classes, if it is given one."""
    condition = chain_rule.conditions(model, batch)
    if "label" not in condition:
        return {"log_prob": model.log_prob(variables, batch["image"], **condition)}
    label = condition["label"].astype(int)
    given = chain_rule.log_prob_per_class(model, variables, batch["image"], **condition)
    return {
        "log_prob": log_mean_exp(given),
        "log_prob_given_label": jnp.take_along_axis(given, label[None], axis=0)[0],
        "bayes_accuracy": (given.argmax(axis=0) == label).astype(jnp.float32),
    }


def records(
    measured: dict[str, np.ndarray],
    *,
    num_samples: int,
    split: str,
    protocol: str,
    bits_per_dim: Callable[[float], float | None],
) -> list[Record]:
    """The table of `evaluation.json` from what `measure` found.

    Args:
      measured: {name: [N]} as `measure` returns it.
      num_samples: k, for the metric's name.
      split: of the data.
      protocol: a line for every record.
      bits_per_dim: nats per example (of a negative log-likelihood) to bits per dimension, or None
        where the conversion has no meaning.
    """
    number = next(iter(measured.values())).shape[0]
    make = partial(Record, split=split, num=number, protocol=protocol)
    names = {name: name for name in ("log_prob", "log_prob_given_label", "elbo")}
    names |= {"iwae": f"iwae_{num_samples}"}
    table = []
    for name, metric in names.items():
        if name in measured:
            value, error = mean_and_error(measured[name])
            table.append(make(metric, value, error, "nats"))
            if (bits := bits_per_dim(-value)) is not None:
                scale = bits_per_dim(1.0) - bits_per_dim(0.0)
                table.append(make(f"{metric}_bits_per_dim", bits, error * scale, "bits/dim"))
    for name in ("bayes_accuracy", "accuracy"):
        if name in measured:
            table.append(make(name, *mean_and_error(measured[name]), "share"))
    if "gap" in measured:
        table.append(
            make(f"log_prob_minus_iwae_{num_samples}", *mean_and_error(measured["gap"]), "nats")
        )
    if "kl" in measured:
        table.append(make("kl", *mean_and_error(measured["kl"]), "nats"))
        reconstruction = -(measured["elbo"] + measured["kl"])
        table.append(make("reconstruction", *mean_and_error(reconstruction), "nats"))
        table.append(make("active_units", active_units(measured["code"]), None, "units"))
    if "squared_error" in measured:
        table.append(make("squared_error", *mean_and_error(measured["squared_error"]), "squared"))
    return [_without_nan(record) for record in table]


def _without_nan(record):
    """JSON has no NaN: one example has no standard error."""
    known = record.standard_error is None or np.isfinite(record.standard_error)
    return record if known else replace(record, standard_error=None)

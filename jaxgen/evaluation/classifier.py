"""A small classifier of a data set's own classes, whose features and posterior judge samples.

It is trained on the training split, and its last hidden layer of 64 numbers is what examples are
compared by (`frechet.py`, `kernel.py`, `neighbours.py`). So few features need fewer examples than
those of an Inception network, fit any labelled data, and are had without a download; the numbers
compare with those of the same classifier alone, which is known by the hash of its parameters.

The classifier score of samples x with posterior p(y | x) and their mean p(y) is

    exp(E KL(p(y | x) || p(y))),    between 1 and the number of classes:

high if each sample is surely of some class and all classes are drawn alike. It says nothing of the
variety within a class, nor whether samples are copies.

Salimans et al., 2016, "Improved techniques for training GANs" (arXiv 1606.03498), section 4, which
takes an Inception network; the limits of it: Barratt & Sharma, 2018, "A note on the Inception
Score" (arXiv 1801.01973).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Float, Int

from jaxgen.data import batch_indices
from jaxgen.data.split import content_hash
from jaxgen.errors import DataError
from jaxgen.evaluation.features import Extractor
from jaxgen.evaluation.per_example import per_example
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.fields import IMAGE, UNKNOWN
from jaxgen.nn import Downsample, activation
from jaxgen.step import Player, TrainState, init_state, train_step
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables

NUM_FEATURES = 64
STEPS = 2000
_BATCH_SIZE = 128
_SMALLEST_IMAGE = 16  # a smaller one is read as a vector
_OPTIMIZER = Optimizer(schedule="cosine", weight_decay=1e-2)


class Network(nn.Module):
    """x [B, *shape] -> (features [B, F], logits [B, K]).

    Attributes:
      widths: channels of the convolutions, each of stride 2; () for an MLP.
      hidden: widths of the dense layers before the features.
      num_features: F.
      num_classes: K.
    """

    widths: tuple[int, ...]
    hidden: tuple[int, ...]
    num_features: int
    num_classes: int

    @nn.compact
    def __call__(self, x: Float[Array, "b ..."]) -> tuple[Float[Array, "b f"], Float[Array, "b k"]]:
        """Return features and logits."""
        if self.widths:
            x = Downsample(self.widths, activation="relu")(x)
        x = x.reshape(x.shape[0], -1)
        elu = activation("elu")
        for width in (*self.hidden, self.num_features):
            x = elu(nn.Dense(width)(x))
        return x, nn.Dense(self.num_classes)(x)


@final
@dataclass(frozen=True)
class Classifier:
    """A model of p(y | x).

    Attributes:
      shape: of one example.
      num_classes: K.
      network: x -> (features, logits).
      mean, std: of the training values; examples are standardised by them.
    """

    shape: tuple[int, ...]
    num_classes: int
    network: nn.Module
    mean: float = 0.0
    std: float = 1.0

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'classifier'}."""
        return {"classifier": self.network.init(key, jnp.zeros((1, *self.shape)))}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("classifier", ("classifier",), self.classifier_loss, tx),)

    def classifier_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return -E log p(y | x), and the share of examples whose class is found.

        Both are means over the examples of a known class, and 0 without any.
        """
        del key  # nothing is drawn
        _, log_posterior = self.features(variables, batch[IMAGE])  # [B, K]
        label = batch["label"].astype(jnp.int32)
        known = label != UNKNOWN
        num = jnp.maximum(known.sum(), 1)
        found = known & (log_posterior.argmax(axis=-1) == label)
        index = jnp.maximum(label, 0)  # -1 would be the last class
        of_label = jnp.take_along_axis(log_posterior, index[:, None], axis=-1)[:, 0]
        loss = -jnp.where(known, of_label, 0.0).sum() / num
        return loss, ({"accuracy": found.sum() / num}, {})

    def features(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> tuple[Float[Array, "b f"], Float[Array, "b k"]]:
        """Return the last hidden layer, and log p(y | x)."""
        x = (x - self.mean) / self.std
        outputs: Any = self.network.apply(variables["classifier"], x)
        features, logits = outputs
        return features, jax.nn.log_softmax(logits)


@final
@dataclass(frozen=True, eq=False)
class Trained:
    """A classifier with its parameters.

    Attributes:
      model: the classifier.
      variables: its parameters.
      accuracy: on the test split.
      source: what it was trained on, in words.
    """

    model: Classifier
    variables: Variables
    accuracy: float
    source: str

    @property
    def sha256(self) -> str:
        """The checksum of the parameters."""
        return content_hash(parameters(self.variables))

    def extractor(self) -> Extractor:
        """Return its features, with all that is known of it."""
        description = (
            f"{self.model.network.num_features} features of a classifier trained on {self.source}, "
            f"test accuracy {self.accuracy:.4f}, sha256 {self.sha256[:8]}"
        )
        features = jax.jit(self.model.features)
        return Extractor(description, partial(features, self.variables))


def build(
    shape: tuple[int, ...],
    num_classes: int,
    *,
    mean: float = 0.0,
    std: float = 1.0,
) -> Classifier:
    """Build an MLP for vectors and small images, convolutions for images of side 16 or more."""
    if len(shape) == 3 and min(shape[:2]) >= _SMALLEST_IMAGE:
        network = Network((16, 32, 64), (), NUM_FEATURES, num_classes)
    else:
        network = Network((), (128,), NUM_FEATURES, num_classes)
    return Classifier(shape, num_classes, network, mean, std)


def for_examples(x: Float[Array, "n ..."], num_classes: int) -> Classifier:
    """Build the classifier for training examples like x, standardised by mean and deviation."""
    x = np.asarray(x)
    mean = float(x.mean(dtype=np.float64))
    std = float(x.std(dtype=np.float64)) or 1.0  # of constant examples
    return build(x.shape[1:], num_classes, mean=mean, std=std)


def fit(
    model: Classifier,
    x: Float[Array, "n ..."],
    label: Int[Array, " n"],
    *,
    steps: int = STEPS,
    seed: int = 0,
) -> Variables:
    """Train on examples x with labels 0 .. K-1; a function of its arguments alone.

    Examples of no known class (-1) are left out. Raises DataError where there are no others.
    """
    x, label = _of_known_class(x, label)
    players = model.players(_OPTIMIZER.build(steps))

    def fresh(key: Key) -> TrainState:
        return init_state(key, model.init(key), players)

    state = jax.jit(fresh)(jax.random.key(seed))
    step = jax.jit(partial(train_step, players), donate_argnums=0)
    for number in range(steps):
        chosen = batch_indices(seed, number, _BATCH_SIZE, len(x))
        state, _ = step(state, {IMAGE: x[chosen], "label": label[chosen]})
    return state.variables


def train(
    model: Classifier,
    train: Batch,
    test: Batch,
    source: str,
    *,
    steps: int = STEPS,
    seed: int = 0,
) -> Trained:
    """Fit the model to one split and measure it on the other, each with 'image' and 'label'."""
    variables = fit(model, train[IMAGE], train["label"], steps=steps, seed=seed)
    share = accuracy(model, variables, test[IMAGE], test["label"])
    return Trained(model, variables, share, source)


def accuracy(
    model: Classifier,
    variables: Variables,
    x: Float[Array, "n ..."],
    label: Int[Array, " n"],
) -> float:
    """Return the share of examples whose most probable class is theirs, of those of a known class.

    Raises DataError where there is none.
    """
    x, label = _of_known_class(x, label)
    features = jax.jit(model.features)

    def most_probable(x: Array, key: Key) -> dict[str, jax.Array]:
        del key  # nothing is drawn
        _, log_posterior = features(variables, x)
        return {"label": log_posterior.argmax(axis=-1)}

    found = per_example(most_probable, x, jax.random.key(0))
    return float((found["label"] == label).mean())


def _of_known_class(x: Array, label: Array) -> tuple[Array, Array]:
    """Return the examples whose class is known, and their labels. Raises DataError without any."""
    known = np.asarray(label) != UNKNOWN
    if not known.any():
        raise DataError(f"label: none of {len(label)} examples has a known class, expected some")
    return x[known], label[known]


def parameters(variables: Variables) -> dict[str, np.ndarray]:
    """Return the variables as {path: array}."""
    return {name: np.asarray(x) for name, x in flatten_dict(variables, sep="/").items()}


def variables_of(arrays: Mapping[str, np.ndarray]) -> Variables:
    """Return the variables that `parameters` took apart."""
    return unflatten_dict(dict(arrays), sep="/")


def classifier_score(
    log_posterior: Float[Array, "n k"], num_splits: int = 10
) -> tuple[float, float]:
    """Return the score, as is the custom, of parts of the samples in their order.

    Returns:
      The mean over the parts and their (population) standard deviation.
    """
    log_posterior = np.asarray(log_posterior, np.float64)
    num_parts = min(num_splits, len(log_posterior))
    parts = np.array_split(log_posterior, num_parts)
    scores = [np.exp(_mutual_information(part)) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))


def _mutual_information(log_posterior: np.ndarray) -> float:
    """Return E KL(p(y | x) || p(y)) in nats; a class of probability 0 adds nothing."""
    posterior = np.exp(log_posterior)
    marginal = posterior.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = posterior * (log_posterior - np.log(marginal))
    return np.where(posterior > 0, terms, 0.0).sum(axis=1).mean()

"""The words of jaxgen's signatures, and what a model can do, as protocols.

A model is a frozen dataclass with `shape`, `init` and `players`; all else that it can do is a
capability. The verbs, the evaluation and the certificates ask `isinstance(model, Density)`: who has
the methods has the capability, whoever wrote the class.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np

Array = jax.Array | np.ndarray  # on the device, or NumPy's on its way there
Key = jax.Array  # a typed key: jax.random.key(0)
Batch = Mapping[str, Any]  # {'image': [B, H, W, C], 'label': [B], 'step': [], 'key': []}
Variables = Mapping[str, Any]  # {network: Linen variables}
Metrics = Mapping[str, jax.Array]  # {name: []}
Mutated = Mapping[str, Any]  # {network: {collection: new value}}
Loss = Callable[[Variables, Batch, Key], tuple[jax.Array, tuple[Metrics, Mutated]]]


@runtime_checkable
class Model(Protocol):
    """The least that a model has: networks, and the players that move them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example, without the batch."""
        ...

    def init(self, key: Key) -> Variables:
        """Return fresh variables, {network: Linen variables}."""
        ...

    @property
    def players(self) -> Callable[..., tuple[Any, ...]]:
        """Make the players (`jaxgen.step.Player`) from one optimiser for each, in their order."""
        ...


@runtime_checkable
class Sampler(Protocol):
    """A model that makes examples."""

    def sample(self, variables: Variables, key: Key, num: int, **conditions: Any) -> Array:
        """Return `num` draws, [num, *shape]."""
        ...


@runtime_checkable
class Density(Protocol):
    """A model with an exact density."""

    def log_prob(self, variables: Variables, x: Any, **conditions: Any) -> Array:
        """Return log p(x) per example in nats, [B]."""
        ...


@runtime_checkable
class Energy(Protocol):
    """A model with a density up to a constant, log p(x) = -E(x) - log Z."""

    def energy(self, variables: Variables, x: Any, **conditions: Any) -> Array:
        """Return E(x) per example in nats, [B]."""
        ...


@runtime_checkable
class Partition(Protocol):
    """A model whose log Z can be summed, unless it is too large."""

    @property
    def is_tractable(self) -> bool:
        """True where `log_partition` does not raise ConfigError."""
        ...

    def log_partition(self, variables: Variables) -> Array:
        """Return log Z, exact, []."""
        ...


@runtime_checkable
class MeanField(Protocol):
    """A model with a bound in the place of its energy, log p(x) >= bound - log Z."""

    def mean_field_bound(self, variables: Variables, x: Any, **conditions: Any) -> Array:
        """Return the bound per example in nats, [B]."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A model with latent variables and a lower bound of log p(x) in the place of it."""

    def elbo(
        self, variables: Variables, x: Any, key: Key, num_samples: int = 1, **conditions: Any
    ) -> Array:
        """Return an estimate of the evidence lower bound per example in nats, [B]."""
        ...

    def log_weights(
        self, variables: Variables, x: Any, key: Key, num_samples: int, **conditions: Any
    ) -> Array:
        """Return log p(x, z) - log q(z | x) for draws z ~ q(z | x), [S, B]."""
        ...


@runtime_checkable
class BoundedBySteps(Protocol):
    """A model with a lower bound of log p(x) that is a sum over the steps of a chain."""

    def elbo(
        self, variables: Variables, x: Any, key: Key, num_samples: int = 1, **conditions: Any
    ) -> Array:
        """Return an estimate of the bound per example in nats, by so many drawn steps, [B]."""
        ...

    def bound_terms(self, variables: Variables, x: Any, key: Key, **conditions: Any) -> Array:
        """Return the terms of minus the bound in nats, [T + 1, B]."""
        ...


@runtime_checkable
class Denoises(Protocol):
    """A model that makes examples again from corrupted ones."""

    def denoising_error(self, variables: Variables, x: Any, key: Key, **conditions: Any) -> Array:
        """Return what one corrupted copy of each example costs, relative to its noise, [B]."""
        ...


@runtime_checkable
class Chain(Protocol):
    """A model whose samples are the ends of chains."""

    def chain(
        self, variables: Variables, key: Key, num: int, points: int, **conditions: Any
    ) -> Array:
        """Return `num` chains at `points` times from their beginning on, [num, points, *shape]."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """A model that has a code for each example."""

    def encode(self, variables: Variables, x: Any, **conditions: Any) -> Array:
        """Return the codes, [B, Z]."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """A model that makes an example of each code."""

    def decode(self, variables: Variables, z: Any, **conditions: Any) -> Array:
        """Return the examples, [..., *shape]."""
        ...


@runtime_checkable
class Latent(Decoder, Protocol):
    """A model whose samples are decoded draws from a prior."""

    def latents(self, key: Key, num: int) -> Array:
        """Return `num` draws from the prior, [num, Z]."""
        ...


@runtime_checkable
class Reconstructor(Protocol):
    """A model that makes each example again from its code."""

    def reconstruct(self, variables: Variables, x: Any, **conditions: Any) -> Array:
        """Return the reconstructions, [B, *shape]."""
        ...


@runtime_checkable
class Completer(Protocol):
    """A model that fills in what is unknown of an example."""

    def complete(
        self, variables: Variables, key: Key, x: Any, mask: Any, **conditions: Any
    ) -> Array:
        """Return x with the elements drawn where `mask` is False, [B, *shape]."""
        ...


@runtime_checkable
class Conditional(Protocol):
    """A model that is given fields of the batch besides the one that it makes."""

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the fields: 'label', 'context', ..."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """A model that tells the classes of the data apart."""

    @property
    def num_labels(self) -> int:
        """The number of classes; 0 if the model tells none apart."""
        ...

    def classify(self, variables: Variables, x: Any) -> Array:
        """Return the log-probabilities of the classes, [B, num_labels]."""
        ...


@runtime_checkable
class WithDiscriminator(Protocol):
    """A game in which a discriminator moves."""

    @property
    def discriminator_loss(self) -> Loss:
        """The loss of the discriminator."""
        ...


@runtime_checkable
class Game(Protocol):
    """A generator against a discriminator."""

    def sample(self, variables: Variables, key: Key, num: int, **conditions: Any) -> Array:
        """Return `num` draws, [num, *shape]."""
        ...

    def logits(self, variables: Variables, x: Any, **conditions: Any) -> Array:
        """Return the discriminator's outputs, [B]."""
        ...

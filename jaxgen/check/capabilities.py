"""Capabilities that one family alone has, as protocols: who has the methods is under its laws.

The words that all families share are in `jaxgen.typing`; these are of one family each, and of no
use but to its laws.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from jaxgen.typing import Array, Bounded, Density, Key, Latent, MeanField, Variables


@runtime_checkable
class Mixture(Protocol):
    """A mixture of models over the same variables."""

    def components(self) -> tuple[Any, ...]:
        """Return the models that are mixed."""
        ...


@runtime_checkable
class ChainRule(Density, Protocol):
    """A density by the chain rule, whose conditionals are all made at once."""

    @property
    def order(self) -> Any:
        """The order in which elements are given, a permutation of 0 .. D-1, [D]."""
        ...

    @property
    def observation(self) -> Any:
        """The distribution of an element (`jaxgen.distributions.observation`)."""
        ...

    def dependencies(self) -> Any:
        """Return which elements a conditional reads, True at [i, j] where i reads j, [D, D]."""
        ...

    def conditionals(self, variables: Variables, x: Any, **conditions: Any) -> Array:
        """Return the parameters of every p(x_i | x_<i), [B, *shape, P]."""
        ...


@runtime_checkable
class Amortised(Latent, Bounded, Protocol):
    """A decoder over a prior N(0, I), and an encoder q(z | x) = N(m(x), diag s(x)^2)."""

    @property
    def observation(self) -> Any:
        """The distribution p(x | z) of the decoder's outputs."""
        ...

    def posterior(self, variables: Variables, x: Any, **conditions: Any) -> tuple[Any, Any]:
        """Return m(x) and log s(x), [B, Z] each."""
        ...

    def decoder_outputs(self, variables: Variables, z: Any, **conditions: Any) -> Array:
        """Return the parameters of p(x | z), [..., *shape, P]."""
        ...

    def terms(
        self, variables: Variables, x: Any, key: Key, num_samples: int = 1, **conditions: Any
    ) -> Any:
        """Return both terms of the ELBO: `log_likelihood` [B] and `kl` [B, Z]."""
        ...

    def log_weight(
        self, variables: Variables, x: Any, z: Any, mean: Any, log_std: Any, **conditions: Any
    ) -> Array:
        """Return log p(x, z) - log q(z | x) of given codes, [S, B]."""
        ...


@runtime_checkable
class TwoSided(Protocol):
    """A Boltzmann machine of two sides, whose chains are Gibbs sweeps."""

    @property
    def sides(self) -> tuple[int, int]:
        """The units of the left side and of the right one."""
        ...

    @property
    def joint(self) -> Callable[..., tuple[Any, Any, Any]]:
        """Return the weights [L, R] and the biases of both sides."""
        ...

    @property
    def swept(self) -> Callable[..., Array]:
        """Return chains [B, L] after Gibbs sweeps."""
        ...

    @property
    def annealing(self) -> Callable[..., Any]:
        """Return the path on which log Z is estimated."""
        ...


@runtime_checkable
class Contrastive(TwoSided, Protocol):
    """A machine whose gradient is that of its free energy in two phases."""

    @property
    def learning(self) -> str:
        """The negative phase: 'exact', or what its states are drawn by."""
        ...

    @property
    def negative(self) -> Callable[..., Array]:
        """Return the states of the negative phase, [N, D]."""
        ...

    def energy(self, variables: Variables, x: Any, **conditions: Any) -> Array:
        """Return the free energy of each example in nats, [B]."""
        ...


@runtime_checkable
class Layered(TwoSided, MeanField, Protocol):
    """A machine of several hidden layers, whose positive phase is a mean field."""

    @property
    def hidden(self) -> tuple[int, ...]:
        """The units of the hidden layers."""
        ...

    @property
    def layered_energy(self) -> Callable[..., Array]:
        """Return E(x, h_1, h_2, ...), [B]."""
        ...

    @property
    def bound_at(self) -> Callable[..., Array]:
        """Return the bound at given means, [B]."""
        ...

    @property
    def updated(self) -> Callable[..., tuple[Any, ...]]:
        """Return the means of all layers after one update."""
        ...


@runtime_checkable
class ChangeOfVariables(Density, Protocol):
    """A density by a bijection to codes of as many elements, independent and alike."""

    @property
    def forward(self) -> Callable[..., tuple[Any, Any]]:
        """Return z = f(x) and log |det df/dx|, [B, D] and [B]."""
        ...

    @property
    def inverse(self) -> Callable[..., Array]:
        """Return x = f^-1(z), [B, *shape]."""
        ...

    @property
    def latent_log_prob(self) -> Callable[..., Array]:
        """Return the log density of codes under the prior, [B]."""
        ...


@runtime_checkable
class Diffusing(Protocol):
    """A diffusion model, which takes the noise of a known process away step by step."""

    @property
    def process(self) -> Any:
        """The process that adds the noise (`jaxgen.diffusion.process`)."""
        ...

    @property
    def noise(self) -> Callable[..., Array]:
        """Return the noise that the network sees in x_t, [B, *shape]."""
        ...

    @property
    def bound_terms(self) -> Callable[..., Any]:
        """Return the terms of the bound."""
        ...


@runtime_checkable
class Denoising(Protocol):
    """A function that takes Gaussian noise of one size away."""

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise."""
        ...

    def denoise(self, variables: Variables, y: Any) -> Array:
        """Return the denoised examples, [B, *shape]."""
        ...

    def score(self, variables: Variables, y: Any) -> Array:
        """Return the gradient of log p_sigma, [B, *shape]."""
        ...


@runtime_checkable
class AdjustedDenoising(Denoising, Protocol):
    """A denoiser with an energy, by which moves of its chain are accepted."""

    def energy(self, variables: Variables, y: Any) -> Array:
        """Return E(y) in nats, [B]."""
        ...

    def energy_and_score(self, variables: Variables, y: Any) -> tuple[Array, Array]:
        """Return the energy [B] and the score [B, *shape]."""
        ...


@runtime_checkable
class Walking(Protocol):
    """A chain of noise and reconstructions, trained on its own walks."""

    @property
    def walkbacks(self) -> int:
        """The number of moves of a walk."""
        ...

    @property
    def walk(self) -> Callable[..., Any]:
        """Return the reconstructions along a walk."""
        ...


@runtime_checkable
class JudgedCodes(Latent, Protocol):
    """An autoencoder whose codes a discriminator holds against draws of a prior."""

    @property
    def code_logits(self) -> Callable[..., Array]:
        """Return the discriminator's outputs for codes, [B]."""
        ...

    @property
    def beside(self) -> Callable[..., Array]:
        """Return the draws of the prior that stand beside the codes of a batch, [B, Z]."""
        ...

    @property
    def num_modes(self) -> int:
        """The number of modes of the prior."""
        ...

    def log_modes(self, z: Any) -> Array:
        """Return the log-probability of each mode of the prior at a code, [B, M]."""
        ...

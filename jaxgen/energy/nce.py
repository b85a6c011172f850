"""Noise-contrastive estimation: an energy and its normaliser, learnt by telling data from noise.

A classifier tells data from noise of a known density p_n, nu noise points for each example, by

    G(u) = -E(u) + c - log p_n(u) - log nu,
    maximise  E_data[log sigmoid(G(x))] + nu E_noise[log (1 - sigmoid(G(y)))].

At the maximum exp(-E + c) is the density of the data, provided that p_n > 0 where it is: c has
learnt -log Z. No chain is run. Noise far from the data teaches nothing, and noise near them little
from few points; as nu grows the variance comes to that of maximum likelihood. With p_n the model
itself and nu = 1 the gradient is half that of the likelihood.

Gutmann & Hyvarinen, 2010, "Noise-contrastive estimation", and 2012, in JMLR; Goodfellow, 2014, "On
distinguishability criteria for estimating generative models" (arXiv 1412.6515).

*Differs from the papers:* the noise is any model with `log_prob` and `sample`, held still; it is
trained by a stage before, whose networks it takes over by name. c begins at an estimate of -log Z
by importance sampling from the fresh noise. Samples are the ends of Metropolis chains whose
proposals are noise: they need no other method of the energy.
"""

from dataclasses import dataclass
from typing import Any, final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from jaxgen.arguments import COUNT, require_within
from jaxgen.distributions.functions import log_mean_exp
from jaxgen.errors import ConfigError
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables

NORMALISER = "normaliser"  # the network of c
_DRAWS = 1000  # of noise, for the first c


@final
@dataclass(frozen=True)
class NCE:
    """An energy and its normaliser, learnt against noise.

    Attributes:
      unnormalised: a model with `shape`, `observation`, `init` and `energy`.
      noise: a model with an exact `log_prob` and `sample`; nobody moves it.
      ratio: nu, noise points for each example.
      sweeps: proposals of a fresh chain before it is a sample.
    """

    unnormalised: Any
    noise: Any
    ratio: int = 1
    sweeps: int = 200

    def __post_init__(self) -> None:
        require_within(1, COUNT, ratio=self.ratio, sweeps=self.sweeps)
        shapes = tuple(self.unnormalised.shape), tuple(self.noise.shape)
        if shapes[0] != shapes[1]:
            raise ConfigError(
                f"noise: is of {list(shapes[1])}, but the energy of {list(shapes[0])}"
            )
        shared = {*_networks(self.noise)} & {*_networks(self.unnormalised), NORMALISER}
        if shared:
            raise ConfigError(f"noise: has networks {sorted(shared)}, and so has the energy")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.unnormalised.shape)

    @property
    def observation(self) -> Any:
        """The values that an element takes."""
        return self.unnormalised.observation

    @property
    def frozen(self) -> tuple[str, ...]:
        """The networks of the noise."""
        return tuple(name for name, value in _networks(self.noise).items() if "params" in value)

    def init(self, key: Key) -> Variables:
        """Return fresh variables: those of the energy and of the noise, and {'normaliser'}."""
        energy_key, noise_key, draw_key = jax.random.split(key, 3)
        energy = self.unnormalised.init(energy_key)
        variables = {**energy, **self.noise.init(noise_key)}
        y = self.noise.sample(variables, draw_key, _DRAWS)
        log_z = log_mean_exp(self._log_ratio(variables, y))
        return {**variables, NORMALISER: {"params": {"c": -log_z}}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player, who owns the energy and c."""
        networks = _networks(self.unnormalised).items()
        owned = [name for name, value in networks if "params" in value]
        return (Player("nce", (*owned, NORMALISER), self.nce_loss, tx),)

    def nce_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cross-entropy of telling data from noise, in nats an example, and log Z."""
        x = jnp.asarray(batch["image"])
        y = self.noise.sample(variables, key, self.ratio * len(x))
        loss = self.cost(self.logits(variables, x), self.logits(variables, y))
        return loss, ({"log_partition_nce": self.learnt_log_partition(variables)}, {})

    def cost(
        self,
        of_data: Float[Array, " b"],
        of_noise: Float[Array, " n"],
    ) -> Float[jax.Array, ""]:
        """Return -E log sigmoid(G(x)) - nu E log (1 - sigmoid(G(y))), from G of both."""
        told = jax.nn.softplus(-of_data).mean()
        taken = jax.nn.softplus(of_noise).mean()
        return told + self.ratio * taken

    def logits(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, " b"]:
        """Return G(x): at the optimum sigmoid(G) = p_d / (p_d + nu p_n)."""
        log_z = self.learnt_log_partition(variables)
        return self._log_ratio(variables, x) - log_z - jnp.log(jnp.asarray(self.ratio, log_z.dtype))

    def energy(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[Array, " b"]:
        """Return E(x) in nats: log p(x) = -E(x) - log Z."""
        return jnp.asarray(self.unnormalised.energy(variables, x))

    def learnt_log_partition(self, variables: Variables) -> jax.Array:
        """Return -c, what was learnt of log Z, []."""
        return -variables[NORMALISER]["params"]["c"]

    @property
    def is_tractable(self) -> bool:
        """True where the energy's own log Z can be computed."""
        return bool(getattr(self.unnormalised, "is_tractable", False))

    def log_partition(self, variables: Variables) -> jax.Array:
        """Return the energy's own log Z, exact, []. ConfigError where it is not to be had."""
        if not self.is_tractable:
            name = type(self.unnormalised).__name__
            raise ConfigError(f"log Z of {name} is not known\nTry: learnt_log_partition")
        return jnp.asarray(self.unnormalised.log_partition(variables))

    def sample(
        self,
        variables: Variables,
        key: Key,
        num: int,
    ) -> Float[jax.Array, "b ..."]:
        """Return the ends of `num` Metropolis chains that begin with noise, [num, *shape].

        Each proposal y is noise, taken with probability min(1, w(y) / w(x)), w = exp(-E) / p_n.
        """
        start_key, key = jax.random.split(key)
        x = jnp.asarray(self.noise.sample(variables, start_key, num))
        begun = (x, self._log_ratio(variables, x))

        def sweep(
            state: tuple[jax.Array, jax.Array],
            key: Key,
        ) -> tuple[tuple[jax.Array, jax.Array], None]:
            x, log_w = state
            noise_key, coin_key = jax.random.split(key)
            y = jnp.asarray(self.noise.sample(variables, noise_key, num))
            proposed = self._log_ratio(variables, y)
            coin = jax.random.uniform(coin_key, (num,), log_w.dtype)
            taken = jnp.log(coin) < proposed - log_w
            mask = taken.reshape(num, *[1] * len(self.shape))  # [B, 1, ..., 1]
            return (jnp.where(mask, y, x), jnp.where(taken, proposed, log_w)), None

        (x, _), _ = jax.lax.scan(sweep, begun, jax.random.split(key, self.sweeps))
        return x

    def _log_ratio(
        self,
        variables: Variables,
        x: Array,
    ) -> jax.Array:
        """Return -E(x) - log p_n(x), [B]."""
        of_noise = self.noise.log_prob(variables, x)
        return jnp.asarray(-self.energy(variables, x) - of_noise)


def _networks(model: Any) -> Variables:
    """Return the networks of a model, as shapes."""
    found: Variables = jax.eval_shape(model.init, jax.random.key(0))
    return found

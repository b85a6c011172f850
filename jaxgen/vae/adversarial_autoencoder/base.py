"""Autoencoders whose codes are to look like draws from a prior: what their games share.

An encoder gives codes, whose draws need no density; a decoder gives p(x | z) of a code; critics
tell codes from draws. A concrete model brings its prior, its critics and its players. The losses:

    autoencoder   -E log p(x | z),                           z ~ q(z | x)
    critic        -E_p(z) log D(z) - E_q(z) log (1 - D(z)),  summed over the critics
    encoder       -E_q(z) log D(z),                          summed over the critics
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxgen import losses
from jaxgen.distributions.observation import Observation
from jaxgen.nn import evaluation_pass, train_pass
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables


class CodeAutoencoder(ABC):
    """An encoder and a decoder, with a prior of codes that can be drawn from.

    Attributes:
      shape: of one example.
      encoder: (x [B, *shape], train) -> [B, E], drawn in training.
      decoder: code [..., Z] -> parameters of p(x | z), [..., *shape, P].
      observation: what the parameters mean.
    """

    shape: tuple[int, ...]
    encoder: nn.Module
    decoder: nn.Module
    observation: Observation

    @abstractmethod
    def latents(self, key: Key, num: int) -> Float[jax.Array, "b z"]:
        """Return `num` draws from the prior."""

    @property
    @abstractmethod
    def num_modes(self) -> int:
        """The number of modes of the prior."""

    @abstractmethod
    def log_modes(self, z: Float[Array, "b z"]) -> Float[jax.Array, "b m"]:
        """Return the log-probability of each mode of the prior at a code."""

    @abstractmethod
    def continuous(self, z: Float[Array, "b z"]) -> Float[jax.Array, "b c"]:
        """Return the part of codes of which the prior is continuous."""

    @abstractmethod
    def code_of(self, outputs: Float[Array, "b e"]) -> Float[jax.Array, "b z"]:
        """Return the codes that the encoder's outputs mean."""

    @abstractmethod
    def beside(self, key: Key, batch: Batch) -> Float[jax.Array, "b z"]:
        """Return the draws that the critics are shown beside the codes of a batch."""

    @abstractmethod
    def code_logits(
        self,
        variables: Variables,
        z: Float[Array, "b z"],
        batch: Batch,
        key: Key | None = None,
    ) -> Mapping[str, Array]:
        """Return {critic: logits [B]} of codes, high where they may be draws from the prior.

        Args:
          variables: of the model.
          z: codes or draws.
          batch: whose codes they are, or are beside: a critic may be told its labels.
          key: of the noise of training; None: none.
        """

    def autoencoder_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return -log p(x | z) in nats at drawn codes, summed over elements, mean over examples."""
        x = batch["image"]
        z = self.draw(variables, x, key)
        return -self.log_likelihood(variables, x, z[None]).mean(), ({}, {})

    def critic_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cost of telling codes from draws of the prior, in nats."""
        code_key, prior_key, real_key, fake_key = jax.random.split(key, 4)
        codes = self.draw(variables, batch["image"], code_key)
        drawn = self.beside(prior_key, batch)
        real = self.code_logits(variables, drawn, batch, real_key)
        fake = self.code_logits(variables, codes, batch, fake_key)
        costs = [losses.discriminator_cost(real[name], fake[name]) for name in real]
        return jnp.asarray(sum(costs)), ({}, {})

    def encoder_loss(
        self,
        variables: Variables,
        batch: Batch,
        key: Key,
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the cost of codes that are not taken for draws of the prior, in nats."""
        code_key, judge_key = jax.random.split(key)
        codes = self.draw(variables, batch["image"], code_key)
        fake = self.code_logits(variables, codes, batch, judge_key)
        costs = [losses.non_saturating_cost(logits) for logits in fake.values()]
        return jnp.asarray(sum(costs)), ({}, {})

    def outputs(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        key: Key | None = None,
    ) -> Float[jax.Array, "b e"]:
        """Return the encoder's outputs: drawn if there is a key, else without noise."""
        seen = self.observation.normalize(x)
        if key is None:
            return jnp.asarray(evaluation_pass(self.encoder, variables["encoder"], seen))
        drawn, _ = train_pass(self.encoder, variables["encoder"], seen, key=key)
        return jnp.asarray(drawn)

    def draw(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        key: Key,
    ) -> Float[jax.Array, "b z"]:
        """Return a draw z ~ q(z | x) for each example."""
        return self.code_of(self.outputs(variables, x, key))

    def encode(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[jax.Array, "b z"]:
        """Return the code of each example, without noise."""
        return self.code_of(self.outputs(variables, x))

    def decode(self, variables: Variables, z: Float[Array, "... z"]) -> Float[jax.Array, "..."]:
        """Return the mean of p(x | z), [..., *shape]."""
        return jnp.asarray(self.observation.mean(self.decoder_outputs(variables, z)))

    def reconstruct(self, variables: Variables, x: Float[Array, "b ..."]) -> Float[Array, "b ..."]:
        """Return the decoded code of x."""
        return self.decode(variables, self.encode(variables, x))

    def sample(self, variables: Variables, key: Key, num: int) -> Float[jax.Array, "b ..."]:
        """Return the means of p(x | z) at `num` draws from the prior, [num, *shape].

        They are what the papers show; p(x | z) itself is `decoder_outputs`.
        """
        return self.decode(variables, self.latents(key, num))

    def squared_error(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
    ) -> Float[jax.Array, " b"]:
        """Return |x - reconstruction|^2 per example."""
        difference = x - self.reconstruct(variables, x)
        return jnp.square(difference).reshape(len(x), -1).sum(axis=-1)

    def decoder_outputs(
        self,
        variables: Variables,
        z: Float[Array, "... z"],
    ) -> Float[jax.Array, "..."]:
        """Return the parameters of p(x | z), [..., *shape, P]."""
        return jnp.asarray(self.decoder.apply(variables["decoder"], z))

    def log_likelihood(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        z: Float[Array, "s b z"],
    ) -> Float[jax.Array, "s b"]:
        """Return log p(x | z), summed over the elements of an example."""
        params = self.decoder_outputs(variables, z)
        log_prob = self.observation.log_prob(params, x[None])  # [S, B, *shape]
        summed = log_prob.reshape(*z.shape[:2], -1).sum(axis=-1)
        return cast("jax.Array", summed)


def judged(
    critic: nn.Module,
    variables: Variables,
    z: Float[Array, "b c"],
    key: Key | None = None,
) -> Float[jax.Array, " b"]:
    """Return a critic's logits of codes, high where they may be of the prior.

    Args:
      critic: (z, train) -> (logits [B], features).
      variables: its own.
      z: codes, and whatever it is told beside them.
      key: of the noise of training; None: none.
    """
    if key is None:
        logits, _ = evaluation_pass(critic, variables, z)
    else:
        (logits, _), _ = train_pass(critic, variables, z, key=key)
    return jnp.asarray(logits)

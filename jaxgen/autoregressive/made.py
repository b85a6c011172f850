"""MADE: an autoencoder with masked weights gives all conditionals in one forward pass.

Every unit has a degree. Element x_d has its rank in the order, 1 .. D; a hidden unit of degree m
may depend on the m elements of the lowest ranks, and an output on those of ranks below its own:

    h^l = g((W^l * M^l) h^{l-1} + b^l),     M^l_kj = 1[m^{l-1}_j <= m^l_k],   h^0 = x,
    logits = (V * M) h^L + (A * M') x + c,  M_dk = 1[m^L_k < rank_d],  M'_dj = 1[rank_j < rank_d]

The masks follow from the order and from `seed`, which deals the degrees out to the hidden units;
they act in the forward pass and are never written into the weights. Training with many orders and
seeds in turn, and mixing them: `ensemble.several`. A network that is to know which mask is on has
conditioning weights U^l: ((U^l * M^l) 1) is added to the bias.

Sampling does not take D forward passes: a hidden unit of degree m is final as soon as m elements
are drawn, and nothing before needs it. So each unit is computed once, when its time comes, and a
sample costs about as much as one evaluation.

Germain, Gregor, Murray & Larochelle, 2015, "MADE: masked autoencoder for distribution estimation"
(arXiv 1502.03509), sections 3 and 4.

*Differs from the paper:* degrees are not drawn but dealt out evenly, 1 .. D - 1 in each layer, and
shuffled: every layer has the lowest degree, so that no path is dead. The paper samples by D passes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.errors import ConfigError
from jaxgen.nn import activation, require_positive
from jaxgen.observation import Bernoulli
from jaxgen.train import Batch, Key, Metrics, Mutated, Player, Variables
from jaxgen.typing import Array

_orthogonal = jax.nn.initializers.orthogonal()  # as in the authors' best run


@dataclass(frozen=True)
class MADE:
    """A masked autoencoder over binary examples.

    Attributes:
      shape: of one example; D elements.
      hidden: widths of the hidden layers, at least one.
      ordering: in which elements are drawn.
      seed: of the degrees of the hidden units.
      direct: connect inputs to outputs as well.
      conditioned: weights that tell the network which mask is on.
      activation: of the hidden layers.
      dropout: fraction of hidden units left out in training.
    """

    shape: tuple[int, ...]
    hidden: tuple[int, ...] = (500,)
    ordering: Ordering = Ordering()  # noqa: RUF009 (frozen)
    seed: int = 0
    direct: bool = True
    conditioned: bool = False
    activation: str = "relu"
    dropout: float = 0.0
    observation: ClassVar[Bernoulli] = Bernoulli()
    varies: ClassVar[tuple[str, ...]] = ("ordering", "seed")  # among members of an ensemble

    log_prob, sample, complete = chain_rule.log_prob, chain_rule.sample, chain_rule.complete

    def __post_init__(self):
        require_positive(shape=self.shape, hidden=self.hidden)
        activation(self.activation)
        if not self.hidden:
            raise ConfigError("hidden: got (), expected at least one layer")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout: got {self.dropout}, expected [0, 1)")

    @property
    def order(self) -> np.ndarray:
        """Flat indices in the order in which elements are drawn, [D]."""
        return self.ordering.permutation(self.shape)

    def structure(self) -> Mapping[str, np.ndarray]:
        """The order [D], and the units of all hidden layers by rising degree [sum of hidden]."""
        random = np.random.default_rng(self.seed)
        units = [random.permutation(width) for width in self.hidden]
        return {"order": self.order, "units": np.concatenate(units)}

    def dependencies(self) -> np.ndarray:
        """[D, D]: all that a path of the masked network joins."""
        *masks, direct = self._masks(np, **self.structure())
        paths = masks[0]
        for mask in masks[1:]:
            paths = paths.astype(int) @ mask > 0
        return (paths | direct if self.direct else paths).T

    def init(self, key: Key) -> Variables:
        """Fresh variables {'made'}: a kernel [I, O] and a bias for each layer."""
        sizes = self._sizes()
        keys = jax.random.split(key, len(sizes) - 1)
        params = {}
        for i, (k, size) in enumerate(zip(keys, pairwise(sizes), strict=True)):
            params[f"layer_{i}"] = {"kernel": _orthogonal(k, size), "bias": jnp.zeros(size[1])}
            if self.conditioned:
                params[f"layer_{i}"]["mask_kernel"] = jnp.zeros(size)
        if self.direct:
            params["direct"] = {"kernel": jnp.zeros((sizes[0], sizes[-1]))}
        return {"made": {"params": params}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player."""
        return (Player("made", ("made",), self.made_loss, tx),)

    def made_loss(
        self, variables: Variables, batch: Batch, key: Key, **structure: Array
    ) -> tuple[Array, tuple[Metrics, Mutated]]:
        """-log p(x) in nats, mean over the batch, with dropout; `structure` as in an ensemble."""
        x = batch["image"].reshape(batch["image"].shape[0], -1)
        logits = self._logits(variables, x, structure or self.structure(), key)
        return -self.observation.log_prob(logits[..., None], x).sum(axis=-1).mean(), ({}, {})

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        order: Int[Array, " d"] | None = None,
        units: Int[Array, " h"] | None = None,
    ) -> Float[Array, "b ... 1"]:
        """Logits of every p(x_i = 1 | those before it), in one forward pass.

        Args:
          variables: of the model.
          x: examples.
          order: and `units`, in the place of the model's own `structure`.
          units: see `order`.
        """
        structure = self.structure() if order is None else {"order": order, "units": units}
        logits = self._logits(variables, x.reshape(x.shape[0], -1), structure)
        return logits.reshape(*x.shape, 1)

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
        order: Int[Array, " d"] | None = None,
        units: Int[Array, " h"] | None = None,
    ) -> Float[Array, "b ..."]:
        """Element by element; a hidden unit is computed once, when all that it sees is drawn.

        Hidden units are zero until then, and so are elements, which does what the masks do.
        """
        structure = self.structure() if order is None else {"order": order, "units": units}
        *hidden, (kernel, bias) = self._layers(variables, structure)
        order, units = jnp.asarray(structure["order"]), self._by_degree(structure["units"])
        params, g = variables["made"]["params"], activation(self.activation)
        direct = params["direct"]["kernel"] if self.direct else jnp.zeros((order.size, order.size))

        def draw(state, t):
            below, hs = state[0], []
            for (rows, biases), ready, h in zip(hidden, units, state[1:], strict=True):
                new = g(below @ _rows(rows, ready[t]).T + _rows(biases, ready[t]))
                below = h.at[:, ready[t]].set(new, mode="drop")
                hs.append(below)
            site = order[t]
            logits = below @ kernel[site] + bias[site] + state[0] @ direct[:, site]
            x = state[0].at[:, site].set(choose(site, logits[:, None]))
            return (x, *hs), None

        first = tuple(jnp.zeros((num, width)) for width in (order.size, *self.hidden))
        (x, *_), _ = jax.lax.scan(draw, first, jnp.arange(order.size))
        return x.reshape(num, *self.shape)

    def _sizes(self):
        """Widths of all layers, inputs and outputs included."""
        dim = math.prod(self.shape)
        return (dim, *self.hidden, dim)

    def _masks(self, xp, order, units):
        """bool [I, O] for each layer and the direct connections, by NumPy or jax.numpy."""
        rank = xp.argsort(order)
        degrees = [rank + 1]
        for width, own in zip(self.hidden, self._split(units), strict=True):
            degrees.append(xp.asarray(dealt_degrees(width, rank.size))[xp.argsort(own)])
        masks = [below[:, None] <= above for below, above in pairwise(degrees)]
        return *masks, degrees[-1][:, None] <= rank, rank[:, None] < rank

    def _split(self, units):
        """The units of each hidden layer."""
        ends = np.cumsum(self.hidden)
        return [units[end - width : end] for end, width in zip(ends, self.hidden, strict=True)]

    def _bias(self, layer, mask):
        """A layer's bias, with what the mask itself contributes."""
        if not self.conditioned:
            return layer["bias"]
        return layer["bias"] + jnp.where(mask, layer["mask_kernel"], 0).sum(axis=0)

    def _logits(self, variables, x, structure, key=None):
        """Logits [B, D] at x [B, D]; hidden units are left out where a key is given."""
        params, (*masks, earlier) = variables["made"]["params"], self._masks(jnp, **structure)
        h, g, last = x, activation(self.activation), len(self.hidden)
        for i, mask in enumerate(masks):
            layer = params[f"layer_{i}"]
            h = h @ jnp.where(mask, layer["kernel"], 0) + self._bias(layer, mask)
            h = g(h) if i < last else h
            if i < last and self.dropout and key is not None:
                kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - self.dropout, h.shape)
                h = jnp.where(kept, h / (1 - self.dropout), 0)
        if self.direct:
            h += x @ jnp.where(earlier, params["direct"]["kernel"], 0)
        return h

    def _layers(self, variables, structure):
        """(kernel [O, I], bias [O]) of each layer, for the sampler: no masks."""
        params, masks = variables["made"]["params"], self._masks(jnp, **structure)
        layers = [params[f"layer_{i}"] for i in range(len(self.hidden) + 1)]
        return [
            (layer["kernel"].T, self._bias(layer, mask))
            for layer, mask in zip(layers, masks, strict=False)
        ]

    def _by_degree(self, units):
        """The units of degree t of each layer, [D, most], filled up with a unit that is not."""
        dim, tables = math.prod(self.shape), []
        for width, own in zip(self.hidden, self._split(units), strict=True):
            degrees = dealt_degrees(width, dim)
            places = [np.flatnonzero(degrees == t) for t in range(dim)]
            most = max(len(found) for found in places) or 1
            table = np.full((dim, most), width)
            for row, found in zip(table, places, strict=True):
                row[: len(found)] = found
            tables.append(jnp.append(jnp.asarray(own), width)[table])
        return tables


def dealt_degrees(width: int, dim: int) -> np.ndarray:
    """Degrees 1 .. dim - 1, as evenly as they go into `width` units, rising: [width]."""
    return 1 + np.arange(width) * (dim - 1) // width


def _rows(array, index):
    """array[index], zero where there is no such row."""
    return array.at[index].get(mode="fill", fill_value=0)

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
sample costs about as much as one evaluation. Of three elements and hidden units of degrees 1, 1, 2:

    t    drawn so far    computed now        then read off
    0    -               -                   logit of x_1: its bias
    1    x_1             units of degree 1   logit of x_2 from units of degree 1
    2    x_1, x_2        unit of degree 2    logit of x_3 from units of degrees 1 and 2

Germain, Gregor, Murray & Larochelle, 2015, "MADE: masked autoencoder for distribution estimation"
(arXiv 1502.03509), sections 3 and 4.

*Differs from the paper:* degrees are not drawn but dealt out evenly, 1 .. D - 1 in each layer, and
shuffled: every layer has the lowest degree, so that no path is dead. The paper samples by D passes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from jaxgen.arguments import require_positive
from jaxgen.autoregressive.base import Choose, Ordered
from jaxgen.autoregressive.made.masks import connect, units_by_degree
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.distributions.observation import Bernoulli
from jaxgen.errors import ConfigError
from jaxgen.nn import activation
from jaxgen.step import Player
from jaxgen.typing import Array, Batch, Key, Metrics, Mutated, Variables


class Layer(NamedTuple):
    """A layer as the sampler reads it, unit by unit: kernel [O, I], bias [O]."""

    kernel: jax.Array
    bias: jax.Array

    def rows(self, units: jax.Array) -> "Layer":
        """Return the weights of some units; zeros for a unit that is beyond the last."""
        kernel = self.kernel.at[units].get(mode="fill", fill_value=0)
        bias = self.bias.at[units].get(mode="fill", fill_value=0)
        return Layer(kernel, bias)


@final
@dataclass(frozen=True)
class MADE(Ordered):
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
    varies: ClassVar[tuple[str, ...]] = ("ordering", "seed")  # among members of an ensemble

    def __post_init__(self) -> None:
        require_positive(shape=self.shape, hidden=self.hidden)
        activation(self.activation)  # raises for one that is not known
        if not self.hidden:
            raise ConfigError("hidden: got (), expected at least one layer")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout: got {self.dropout}, expected [0, 1)")

    @property
    def observation(self) -> Bernoulli:
        """The distribution of an element: binary."""
        return Bernoulli()

    def structure(self) -> Mapping[str, np.ndarray]:
        """Return the order [D], and the units of all hidden layers by rising degree [sum of H]."""
        random = np.random.default_rng(self.seed)
        units = [random.permutation(width) for width in self.hidden]
        return {"order": self.order, "units": np.concatenate(units)}

    def dependencies(self) -> np.ndarray:
        """Return all that a path of the masked network joins, bool [D, D] at flat [i, j]."""
        masks = connect(np, self.hidden, **self.structure())
        paths = masks.layers[0]
        for mask in masks.layers[1:]:
            paths = paths.astype(int) @ mask > 0
        joined = paths | masks.direct if self.direct else paths
        return joined.T  # [input, output] -> [i, j]

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'made'}: a kernel [I, O] and a bias for each layer."""
        dim = math.prod(self.shape)
        sizes = (dim, *self.hidden, dim)
        keys = jax.random.split(key, len(sizes) - 1)
        orthogonal = jax.nn.initializers.orthogonal()  # as in the authors' best run
        params: dict[str, dict[str, jax.Array]] = {}
        for i, size in enumerate(pairwise(sizes)):
            layer = {"kernel": orthogonal(keys[i], size), "bias": jnp.zeros(size[1])}
            if self.conditioned:
                layer["mask_kernel"] = jnp.zeros(size)
            params[f"layer_{i}"] = layer
        if self.direct:
            params["direct"] = {"kernel": jnp.zeros((dim, dim))}
        return {"made": {"params": params}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("made", ("made",), self.made_loss, tx),)

    def made_loss(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return -log p(x) in nats, mean over the batch, with dropout."""
        return self.member_loss(variables, batch, key, **self.structure())

    def member_loss(
        self, variables: Variables, batch: Batch, key: Key, **structure: Array
    ) -> tuple[jax.Array, tuple[Metrics, Mutated]]:
        """Return the loss of the member of an ensemble that has this structure."""
        x = batch["image"].reshape(batch["image"].shape[0], -1)  # [B, *shape] -> [B, D]
        logits = self._logits(variables, x, structure, key)
        log_prob = jnp.asarray(self.observation.log_prob(logits[..., None], x))  # [B, D]
        return -log_prob.sum(axis=-1).mean(), ({}, {})

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b ..."],
        order: Int[Array, " d"] | None = None,
        units: Int[Array, " h"] | None = None,
    ) -> Float[jax.Array, "b ... 1"]:
        """Return the logits of every p(x_i = 1 | those before it), in one forward pass.

        `order` and `units`, if given, take the place of the model's own `structure`.
        """
        structure = self.structure() if order is None else {"order": order, "units": units}
        elements = x.reshape(x.shape[0], -1)  # [B, *shape] -> [B, D]
        logits = self._logits(variables, elements, structure)
        return logits.reshape(*x.shape, 1)

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
        order: Int[Array, " d"] | None = None,
        units: Int[Array, " h"] | None = None,
    ) -> Float[jax.Array, "b ..."]:
        """Draw element by element; a hidden unit is computed once, when all it sees is drawn.

        Hidden units are zero until then, and so are elements, which does what the masks do.
        """
        structure = self.structure() if order is None else {"order": order, "units": units}
        *hidden, output = self._layers(variables, structure)
        sites = jnp.asarray(structure["order"])
        ready = units_by_degree(self.hidden, structure["units"], sites.size)
        g = activation(self.activation)
        direct = jnp.zeros((sites.size, sites.size))
        if self.direct:
            direct = variables["made"]["params"]["direct"]["kernel"]

        def draw_element(
            state: tuple[jax.Array, ...], t: jax.Array
        ) -> tuple[tuple[jax.Array, ...], None]:
            # state: the elements [N, D], and each hidden layer [N, width]
            x, *layers = state
            below = x
            updated = []
            for weights, units_of, h in zip(hidden, ready, layers, strict=True):
                now = units_of[t]  # the units of degree t, [most]
                kernel, bias = weights.rows(now)
                new = g(below @ kernel.T + bias[None])  # [N, most]
                below = h.at[:, now].set(new, mode="drop")  # [N, width]
                updated.append(below)
            site = sites[t]
            # What is not computed or drawn yet is zero, and adds nothing.
            logit = below @ output.kernel[site] + output.bias[site] + x @ direct[:, site]  # [N]
            value = choose(site, logit[:, None])  # [N]
            return (x.at[:, site].set(value), *updated), None

        start = tuple(jnp.zeros((num, width)) for width in (sites.size, *self.hidden))
        (x, *_), _ = jax.lax.scan(draw_element, start, jnp.arange(sites.size))
        return x.reshape(num, *self.shape)

    def _bias(
        self,
        layer: Mapping[str, jax.Array],
        mask: jax.Array,
    ) -> jax.Array:
        """Return a layer's bias [O], with what the mask itself contributes: (U * M) 1."""
        if not self.conditioned:
            return layer["bias"]
        mask_kernel = jnp.where(mask, layer["mask_kernel"], 0)
        return layer["bias"] + mask_kernel.sum(axis=0)

    def _logits(
        self,
        variables: Variables,
        x: Array,
        structure: Mapping[str, Any],
        key: Key | None = None,
    ) -> jax.Array:
        """Return the logits [B, D] at x [B, D]; with a key, under dropout."""
        params = variables["made"]["params"]
        masks = connect(jnp, self.hidden, **structure)
        g = activation(self.activation)
        h = jnp.asarray(x)
        for i, mask in enumerate(masks.layers):
            layer = params[f"layer_{i}"]
            # `where`, not a product: a masked weight that is not finite stays out.
            kernel = jnp.where(mask, layer["kernel"], 0)
            h = h @ kernel + self._bias(layer, mask)[None]
            if i < len(self.hidden):
                h = self._dropped(g(h), i, key)
        if self.direct:
            direct = jnp.where(masks.direct, params["direct"]["kernel"], 0)
            h += x @ direct
        return h

    def _dropped(
        self,
        h: jax.Array,
        layer: int,
        key: Key | None,
    ) -> jax.Array:
        """Return the units of a hidden layer, a fraction of them left out if there is a key."""
        if not self.dropout or key is None:
            return h
        layer_key = jax.random.fold_in(key, layer)
        kept = jax.random.bernoulli(layer_key, 1 - self.dropout, h.shape)
        # What is kept grows, so that a unit's mean is that of the network without dropout.
        return jnp.where(kept, h / (1 - self.dropout), 0)

    def _layers(
        self,
        variables: Variables,
        structure: Mapping[str, Any],
    ) -> list[Layer]:
        """Return all layers as the sampler reads them: without masks."""
        masks = connect(jnp, self.hidden, **structure).layers
        params = variables["made"]["params"]
        layers = []
        for i, mask in enumerate(masks):
            layer = params[f"layer_{i}"]
            layers.append(Layer(layer["kernel"].T, self._bias(layer, mask)))
        return layers

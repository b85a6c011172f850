"""RNADE: NADE over real numbers, each conditional a mixture of K Gaussians (or Laplaces).

    a_1 = c,   h_i = relu(rho_i a_i),   a_{i+1} = a_i + W_{:,i} x_i
    p(x_i | x_<i) = sum_k alpha_ik N(x_i; mu_ik, sigma_ik^2),
    (log alpha_i, mu_i, log sigma_i) = V_i h_i + b_i   (alpha normalised)

The learned rescale rho_i is there because a_i, a sum of i terms, grows with i. O(D H K) for an
evaluation and for a draw. Parameters: W [H, D], V [D, H, 3K], b [D, 3K], c [H] and rho [D].

Uria, Murray & Larochelle, 2013, "RNADE: the real-valued neural autoregressive density-estimator"
(arXiv 1306.0186), section 3.

*Differs from the paper:* the scale has a floor (see `jaxgen.mixture`). The authors' code multiplies
the gradient of a mean by its component's sigma, a preconditioner that is no part of the
likelihood: not here. It starts the means of element i from an even grid on [min_i, max_i] of the
training data, and takes the grid's spacing for the *log* of sigma; here one range is given for all
elements, as plain numbers, and the spacing is sigma's own.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.nade import INITIAL_STD
from jaxgen.autoregressive.ordering import Ordering, earlier
from jaxgen.errors import ConfigError
from jaxgen.mixture import MixtureOfGaussians, MixtureOfLaplaces
from jaxgen.nn import require_positive
from jaxgen.train import Key, Player, Variables
from jaxgen.typing import Array


@dataclass(frozen=True)
class RNADE:
    """A real-valued neural autoregressive density estimator.

    Attributes:
      shape: of one example; D elements.
      hidden: H, the number of hidden units.
      observation: the mixture, with its K and its floor.
      ordering: in which elements are drawn.
      bias_range: the means start on an even grid over it: about where the data are.
    """

    shape: tuple[int, ...]
    hidden: int
    observation: MixtureOfGaussians | MixtureOfLaplaces = MixtureOfGaussians(10)  # noqa: RUF009
    ordering: Ordering = Ordering()  # noqa: RUF009 (frozen)
    bias_range: tuple[float, float] = (-2.0, 2.0)

    rnade_loss = chain_rule.negative_log_prob
    log_prob, sample, complete = chain_rule.log_prob, chain_rule.sample, chain_rule.complete

    def __post_init__(self):
        require_positive(shape=self.shape, hidden=self.hidden)
        low, high = self.bias_range
        if not low < high:
            raise ConfigError(f"bias_range: got {self.bias_range}, expected low < high")

    @property
    def order(self) -> np.ndarray:
        """Flat indices in the order in which elements are drawn, [D]."""
        return self.ordering.permutation(self.shape)

    def dependencies(self) -> np.ndarray:
        """Every earlier element, [D, D]."""
        return earlier(self.order)

    def init(self, key: Key) -> Variables:
        """Fresh variables {'rnade'}: W, V, b, c and rho, shapes as above."""
        dim, (w_key, v_key) = math.prod(self.shape), jax.random.split(key)
        outputs = self.observation.num_params
        params = {
            "W": INITIAL_STD * jax.random.normal(w_key, (self.hidden, dim)),
            "V": INITIAL_STD * jax.random.normal(v_key, (dim, self.hidden, outputs)),
            "b": jnp.tile(self._first_bias(), (dim, 1)),
            "c": jnp.zeros(self.hidden),
            "rho": jnp.ones(dim),
        }
        return {"rnade": {"params": params}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player."""
        return (Player("rnade", ("rnade",), self.rnade_loss, tx),)

    def conditionals(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[Array, "b ... p"]:
        """Logits, means and log scales of every p(x_i | x_<i)."""
        order = self.order
        drawn = x.reshape(x.shape[0], -1).T[order]

        def element(a, inputs):
            weights, value = inputs
            return _after(a, weights, value), _outputs(a, weights)

        inputs = (self._weights(variables), drawn)
        _, params = jax.lax.scan(element, self._start(variables, x.shape[0]), inputs)
        params = jnp.moveaxis(params[np.argsort(order)], 0, 1)
        return params.reshape(*x.shape, -1)

    def generate(self, variables: Variables, choose: Choose, num: int) -> Float[Array, "b ..."]:
        """Element by element, on running activations: O(H K) an element."""
        order = self.order

        def draw(a, inputs):
            weights, site = inputs
            value = choose(site, _outputs(a, weights))
            return _after(a, weights, value), value

        inputs = (self._weights(variables), jnp.asarray(order))
        _, values = jax.lax.scan(draw, self._start(variables, num), inputs)
        return values.T[:, np.argsort(order)].reshape(num, *self.shape)

    def _weights(self, variables):
        """What each element has of its own, in the order of drawing: w, v, b, rho."""
        params, order = variables["rnade"]["params"], self.order
        return params["W"].T[order], *(params[name][order] for name in ("V", "b", "rho"))

    def _start(self, variables, num):
        return jnp.broadcast_to(variables["rnade"]["params"]["c"], (num, self.hidden))

    def _first_bias(self):
        """Equal weights, means on the grid, scales of its spacing: [3K]."""
        num, (low, high) = self.observation.num_components, self.bias_range
        means = np.linspace(low, high, num) if num > 1 else np.array([(low + high) / 2])
        spacing = (high - low) / max(num - 1, 2)  # of a single Gaussian: half the range
        log_scale = np.full(num, math.log(spacing))
        return jnp.asarray(np.concatenate([np.zeros(num), means, log_scale]), jnp.float32)


def _outputs(a, weights):
    """The parameters [B, 3K] of an element from the running activations [B, H]."""
    _, v, b, rho = weights
    return jax.nn.relu(rho * a) @ v + b


def _after(a, weights, value):
    """The running activations once an element's value [B] is known."""
    return a + jnp.outer(value, weights[0])

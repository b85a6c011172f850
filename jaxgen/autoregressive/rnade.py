"""RNADE: NADE over real numbers, each conditional a mixture of K Gaussians (or Laplaces).

    a_1 = c,   h_i = relu(rho_i a_i),   a_{i+1} = a_i + W_{:,i} x_i
    p(x_i | x_<i) = sum_k alpha_ik N(x_i; mu_ik, sigma_ik^2),
    (log alpha_i, mu_i, log sigma_i) = V_i h_i + b_i   (alpha normalised)

The learned rescale rho_i is there because a_i, a sum of i terms, grows with i. O(D H K) for an
evaluation and for a draw. Parameters: W [H, D], V [D, H, 3K], b [D, 3K], c [H] and rho [D].

Uria, Murray & Larochelle, 2013, "RNADE: the real-valued neural autoregressive density-estimator"
(arXiv 1306.0186), section 3.

*Differs from the paper:* the scale has a floor (see `distributions/mixture.py`). The authors' code
multiplies the gradient of a mean by its component's sigma, a preconditioner that is no part of the
likelihood: not here. It starts the means of element i from an even grid on [min_i, max_i] of the
training data, and takes the grid's spacing for the *log* of sigma; here one range is given for all
elements, as plain numbers, and the spacing is sigma's own.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.arguments import require_positive
from jaxgen.autoregressive.base import Choose, Ordered
from jaxgen.autoregressive.nade import INITIAL_STD
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.distributions.mixture import MixtureOfGaussians, MixtureOfLaplaces
from jaxgen.errors import ConfigError
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Variables


class Element(NamedTuple):
    """The weights of one element; of all, stacked in the order of drawing, [D, ...].

    Attributes:
      w: its column of W, [H].
      v: its part of V, [H, 3K].
      b: its bias, [3K].
      rho: its rescale, [].
    """

    w: jax.Array
    v: jax.Array
    b: jax.Array
    rho: jax.Array

    def outputs(self, a: jax.Array) -> jax.Array:
        """Return the parameters [B, 3K] of the element from the running sums a_i [B, H]."""
        h = jax.nn.relu(self.rho * a)
        return h @ self.v + self.b[None]

    def after(
        self,
        a: jax.Array,
        value: jax.Array,
    ) -> jax.Array:
        """Return the running sums a_{i+1} [B, H], now that the element's value [B] is known."""
        return a + jnp.outer(value, self.w)


@final
@dataclass(frozen=True)
class RNADE(Ordered):
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

    def __post_init__(self) -> None:
        require_positive(shape=self.shape, hidden=self.hidden)
        low, high = self.bias_range
        if not low < high:
            raise ConfigError(f"bias_range: got {self.bias_range}, expected low < high")

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'rnade'}: W, V, b, c and rho, shapes as above."""
        dim = math.prod(self.shape)
        w_key, v_key = jax.random.split(key)
        outputs = self.observation.num_params  # 3K
        params = {
            "W": INITIAL_STD * jax.random.normal(w_key, (self.hidden, dim)),
            "V": INITIAL_STD * jax.random.normal(v_key, (dim, self.hidden, outputs)),
            "b": jnp.tile(self._first_bias(), (dim, 1)),
            "c": jnp.zeros(self.hidden),
            "rho": jnp.ones(dim),
        }
        return {"rnade": {"params": params}}

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player."""
        return (Player("rnade", ("rnade",), self.likelihood_loss, tx),)

    def conditionals(
        self, variables: Variables, x: Float[Array, "b ..."]
    ) -> Float[jax.Array, "b ... p"]:
        """Return the logits, means and log scales of every p(x_i | x_<i), [B, *shape, 3K]."""

        def pass_element(
            a: jax.Array, inputs: tuple[Element, jax.Array]
        ) -> tuple[jax.Array, jax.Array]:
            # The parameters of an element come from the sum before its own value joins it.
            element, value = inputs
            return element.after(a, value), element.outputs(a)

        inputs = (self._elements(variables), self.in_drawing_order(x))
        start = self._start(variables, x.shape[0])
        _, params = jax.lax.scan(pass_element, start, inputs)  # [D, B, 3K]
        in_raster_order = params[np.argsort(self.order)]  # [D, B, 3K]
        params = jnp.moveaxis(in_raster_order, 0, 1)  # [D, B, 3K] -> [B, D, 3K]
        return params.reshape(*x.shape, -1)

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
    ) -> Float[jax.Array, "b ..."]:
        """Draw element by element, on running sums: O(H K) an element."""

        def draw_element(
            a: jax.Array, inputs: tuple[Element, jax.Array]
        ) -> tuple[jax.Array, jax.Array]:
            element, site = inputs
            value = choose(site, element.outputs(a))  # [N]
            return element.after(a, value), value

        inputs = (self._elements(variables), jnp.asarray(self.order))
        start = self._start(variables, num)
        _, drawn = jax.lax.scan(draw_element, start, inputs)  # [D, N]
        return self.in_raster_order(drawn)

    def _elements(self, variables: Variables) -> Element:
        """Return the weights of all elements, [D, ...] in the order of drawing."""
        params = variables["rnade"]["params"]
        order = self.order
        return Element(
            w=params["W"].T[order],
            v=params["V"][order],
            b=params["b"][order],
            rho=params["rho"][order],
        )

    def _start(self, variables: Variables, num: int) -> jax.Array:
        """Return the running sums that the first element sees, a_1 = c for everyone: [N, H]."""
        c = variables["rnade"]["params"]["c"]
        return jnp.broadcast_to(c, (num, self.hidden))

    def _first_bias(self) -> jax.Array:
        """Return equal weights, means on the grid, and scales of its spacing: [3K]."""
        num = self.observation.num_components
        low, high = self.bias_range
        logits = np.zeros(num)
        means = np.linspace(low, high, num)
        if num == 1:
            means = np.array([(low + high) / 2])
        spacing = (high - low) / max(num - 1, 2)  # of a single Gaussian: half the range
        log_scales = np.full(num, math.log(spacing))
        bias = np.concatenate([logits, means, log_scales])
        return jnp.asarray(bias, jnp.result_type(float))

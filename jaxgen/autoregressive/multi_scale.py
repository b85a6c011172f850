"""Multi-scale PixelRNN: a small image first, then the large one in its light.

    p(x) = p(s) prod_{i not in s} p(x_i | x_<i, s),      s = x[::2, ::2]

An unconditional PixelRNN draws every other pixel of every other row; a second one fills in the
others in raster order. An upsampling network makes of s a map of the large image's size, and every
layer of the second PixelRNN adds an unmasked 1x1 convolution of it to its input-to-state map: each
pixel knows the small image whole, what lies below it too.

van den Oord, Kalchbrenner & Kavukcuoglu, 2016, "Pixel recurrent neural networks" (arXiv
1601.06759), section 3.6.

*Differs from the paper:* its second network predicts all pixels, those of the small image again;
here these are known, so that p(x) is exactly normalised. Upsampling is by sub-pixel convolutions,
see `jaxgen.nn.Upsample`. Both networks train together: their losses share no parameters.
"""

import math
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from jaxgen.autoregressive import chain_rule
from jaxgen.autoregressive.chain_rule import Choose
from jaxgen.autoregressive.diagonal_bilstm import DiagonalBiLSTM
from jaxgen.autoregressive.pixel_rnn import PixelRNN
from jaxgen.autoregressive.pixel_rnn import build as build_pixel_rnn
from jaxgen.autoregressive.row_lstm import RowLSTM
from jaxgen.errors import ConfigError
from jaxgen.nn import Upsample
from jaxgen.observation import Bernoulli, Observation
from jaxgen.train import Key, Player, Variables
from jaxgen.typing import Array


@dataclass(frozen=True)
class MultiScale:
    """A multi-scale PixelRNN.

    Attributes:
      small: over the pixels x[::k, ::k], k = 2^n for an upsampling by n doublings.
      large: over the image, conditioned on the map that `upsample` makes.
      upsample: [B, H/k, W/k, C] -> [B, H, W, large.context_dim].
    """

    small: PixelRNN
    large: PixelRNN
    upsample: nn.Module

    multi_scale_loss = chain_rule.negative_log_prob
    log_prob, sample, complete = chain_rule.log_prob, chain_rule.sample, chain_rule.complete

    def __post_init__(self):
        height, width, channels = self.shape
        if self.small.shape != (height // self.factor, width // self.factor, channels) or (
            height % self.factor or width % self.factor
        ):
            raise ConfigError(
                f"small.shape: got {self.small.shape}, expected sides that are 1/{self.factor} of "
                f"those of {self.shape}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, C) of an image."""
        return self.large.shape

    @property
    def observation(self) -> Observation:
        """p(x_i | ...) of an element."""
        return self.large.observation

    @property
    def factor(self) -> int:
        """How many pixels of a row make one of the small image's."""
        return 2 ** len(self.upsample.widths)

    @property
    def _every(self):
        return slice(None), slice(None, None, self.factor), slice(None, None, self.factor)

    @property
    def order(self) -> np.ndarray:
        """The elements of the small image in raster order, then the others, [D]."""
        first = self._first()
        return np.concatenate([first, np.setdiff1d(np.arange(math.prod(self.shape)), first)])

    def _first(self):
        """Flat indices of the small image's elements, in its order."""
        return np.arange(math.prod(self.shape)).reshape(1, *self.shape)[self._every].reshape(-1)

    def dependencies(self) -> np.ndarray:
        """What the two structures read, and what the second reads through the upsampling."""
        dim, first = math.prod(self.shape), self._first()
        small = np.eye(dim, dtype=bool)[first].reshape(*self.small.shape, dim).any(axis=2)
        for _ in self.upsample.widths:
            small = _neighbours(small).repeat(2, axis=0).repeat(2, axis=1)
        depends = self.large.dependencies(small)
        depends[first] = False
        depends[np.ix_(first, first)] = self.small.dependencies()
        return depends

    def init(self, key: Key) -> Variables:
        """Fresh variables {'small', 'large', 'upsample'}."""
        small_key, large_key, upsample_key = jax.random.split(key, 3)
        return {
            "small": self.small.init(small_key)["pixel_rnn"],
            "large": self.large.init(large_key)["pixel_rnn"],
            "upsample": self.upsample.init(upsample_key, jnp.zeros((1, *self.small.shape))),
        }

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """One player, who owns all three networks."""
        owned = ("small", "large", "upsample")
        return (Player("multi_scale", owned, self.multi_scale_loss, tx),)

    def conditionals(
        self, variables: Variables, x: Float[Array, "b h w c"]
    ) -> Float[Array, "b h w c p"]:
        """Parameters of every p(x_i | ...): the first network's where x is of the small image."""
        small = x[self._every]
        params = self.large.conditionals(
            {"pixel_rnn": variables["large"]}, x, context=self._context(variables, small)
        )
        known = self.small.conditionals({"pixel_rnn": variables["small"]}, small)
        return params.at[self._every].set(known)

    def generate(self, variables: Variables, choose: Choose, num: int) -> Float[Array, "b h w c"]:
        """The small image, then the large one around it, each as `PixelRNN` does.

        In the second pass the draws at pixels of the small image are thrown away.
        """
        sites = jnp.asarray(self._first())
        small = self.small.generate(
            {"pixel_rnn": variables["small"]},
            lambda site, params: choose(sites[site], params),
            num,
        )
        x = jnp.zeros((num, *self.shape)).at[self._every].set(small)
        mask = np.zeros((1, *self.shape), bool)
        mask[self._every] = True
        return self.large.generate(
            {"pixel_rnn": variables["large"]},
            chain_rule.keeping(choose, x, jnp.asarray(mask)),
            num,
            context=self._context(variables, small),
        )

    def _context(self, variables, small):
        seen = self.small.observation.normalize(small)
        return self.upsample.apply(variables["upsample"], seen)


def build(
    kind: type[RowLSTM] | type[DiagonalBiLSTM],
    shape: tuple[int, ...],
    *,
    observation: Observation = Bernoulli(),  # noqa: B008 (frozen)
    widths: tuple[int, ...] = (16,),
    dtype: str = "float32",
    **settings: int | bool,
) -> MultiScale:
    """A multi-scale PixelRNN of two equal networks.

    Args:
      kind: of the layers.
      shape: (H, W, C) of an image.
      observation: p(x_i | ...) of an element.
      widths: channels of the map after each doubling of the sides.
      dtype: what the networks compute in.
      **settings: of both PixelRNNs, as in `pixel_rnn.build`.
    """
    factor = 2 ** len(widths)
    settings = {**settings, "observation": observation, "dtype": dtype}
    small = (shape[0] // factor, shape[1] // factor, *shape[2:])
    return MultiScale(
        build_pixel_rnn(kind, small, **settings),
        build_pixel_rnn(kind, shape, context_dim=widths[-1], **settings),
        Upsample(widths, dtype=dtype),
    )


def _neighbours(sets):
    """What a 3x3 convolution reads at each place."""
    height, width, _ = sets.shape
    wide = np.pad(sets, ((1, 1), (1, 1), (0, 0)))
    shifts = [wide[r : r + height, c : c + width] for r in range(3) for c in range(3)]
    return np.any(shifts, axis=0)

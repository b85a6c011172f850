"""Multi-scale PixelRNN: a small image first, then the large one in its light.

    p(x) = p(s) prod_{i not in s} p(x_i | x_<i, s),      s = x[::2, ::2]

    s . s .      s: drawn first, a small image of its own
    . . . .      .: drawn then in raster order, each knowing all of s and the pixels before
    s . s .
    . . . .

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
from typing import Unpack, cast, final

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float, Int

from jaxgen.autoregressive.base import Autoregressive, Choose, keeping
from jaxgen.autoregressive.pixel_rnn.diagonal_bilstm import DiagonalBiLSTM
from jaxgen.autoregressive.pixel_rnn.model import LayerSettings, PixelRNN
from jaxgen.autoregressive.pixel_rnn.model import build as build_pixel_rnn
from jaxgen.autoregressive.pixel_rnn.row_lstm import RowLSTM
from jaxgen.distributions.observation import Observation
from jaxgen.errors import ConfigError
from jaxgen.nn import Upsample
from jaxgen.precision import kept
from jaxgen.step import Player
from jaxgen.typing import Array, Key, Variables


@final
@dataclass(frozen=True)
class MultiScale(Autoregressive):
    """A multi-scale PixelRNN.

    Attributes:
      small: over the pixels x[::k, ::k], k = 2^n for an upsampling by n doublings.
      large: over the image, conditioned on the map that `upsample` makes.
      upsample: [B, H/k, W/k, C] -> [B, H, W, large.context_dim].
    """

    small: PixelRNN
    large: PixelRNN
    upsample: Upsample

    def __post_init__(self) -> None:
        height, width, channels = self.shape
        is_divisible = height % self.factor == 0 and width % self.factor == 0
        small_shape = (height // self.factor, width // self.factor, channels)
        if self.small.shape != small_shape or not is_divisible:
            raise ConfigError(
                f"small.shape: got {self.small.shape}, expected sides that are 1/{self.factor} of "
                f"those of {self.shape}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (H, W, C) of an image."""
        return self.large.shape

    @property
    def observation(self) -> Observation:
        """The distribution p(x_i | ...) of an element."""
        return self.large.observation

    @property
    def factor(self) -> int:
        """The number of pixels of a row that make one of the small image's."""
        return 2 ** len(self.upsample.widths)

    @property
    def _every(self) -> tuple[slice, slice, slice]:
        """The index of the small image in [B, H, W, C]."""
        step = slice(None, None, self.factor)
        return slice(None), step, step

    @property
    def order(self) -> np.ndarray:
        """The elements of the small image in raster order, then the others, [D]."""
        first = self._first()
        everything = np.arange(math.prod(self.shape))
        others = np.setdiff1d(everything, first)
        return np.concatenate([first, others])

    def _first(self) -> Int[np.ndarray, " d"]:
        """Return the flat indices of the small image's elements, in its order."""
        everything = np.arange(math.prod(self.shape)).reshape(1, *self.shape)
        return everything[self._every].reshape(-1)

    def dependencies(self) -> np.ndarray:
        """Return what both structures read, and the second through the upsampling, [D, D]."""
        dim = math.prod(self.shape)
        first = self._first()
        # Which elements each pixel of the small image, and then of the context, is made of.
        elements = np.eye(dim, dtype=bool)[first].reshape(*self.small.shape, dim)  # [h, w, C, D]
        context = np.any(elements, axis=2)
        for _ in self.upsample.widths:
            context = _neighbours(context).repeat(2, axis=0).repeat(2, axis=1)
        depends = self.large.dependencies(context)
        depends[first] = False
        depends[np.ix_(first, first)] = self.small.dependencies()
        return depends

    def init(self, key: Key) -> Variables:
        """Return fresh variables {'small', 'large', 'upsample'}."""
        small_key, large_key, upsample_key = jax.random.split(key, 3)
        blank = jnp.zeros((1, *self.small.shape))
        return {
            "small": self.small.init(small_key)["pixel_rnn"],
            "large": self.large.init(large_key)["pixel_rnn"],
            "upsample": kept(self.upsample, self.upsample.init(upsample_key, blank)),
        }

    def players(self, tx: optax.GradientTransformation) -> tuple[Player, ...]:
        """Return the one player, who owns all three networks."""
        owned = ("small", "large", "upsample")
        return (Player("multi_scale", owned, self.likelihood_loss, tx),)

    def conditionals(
        self,
        variables: Variables,
        x: Float[Array, "b h w c"],
    ) -> Float[jax.Array, "b h w c p"]:
        """Return the parameters of every p(x_i | ...).

        They are the first network's where x is of the small image.
        """
        small = x[self._every]
        context = self._context(variables, small)
        large_variables = {"pixel_rnn": variables["large"]}
        params = self.large.conditionals(large_variables, x, context=context)
        known = self.small.conditionals({"pixel_rnn": variables["small"]}, small)
        return jnp.asarray(params).at[self._every].set(known)

    def generate(
        self,
        variables: Variables,
        choose: Choose,
        num: int,
    ) -> Float[jax.Array, "b h w c"]:
        """Return the small image and the large one around it, each made as `PixelRNN` does.

        In the second pass the draws at pixels of the small image are thrown away.
        """
        sites = jnp.asarray(self._first())

        def choose_small(
            site: Array,
            params: Array,
        ) -> jax.Array:
            # The small image's site has another number in the large one.
            return choose(sites[site], params)

        small = self.small.generate({"pixel_rnn": variables["small"]}, choose_small, num)
        x = jnp.zeros((num, *self.shape)).at[self._every].set(small)
        mask = np.zeros((1, *self.shape), bool)
        mask[self._every] = True
        return self.large.generate(
            {"pixel_rnn": variables["large"]},
            keeping(choose, x, jnp.asarray(mask)),
            num,
            context=self._context(variables, small),
        )

    def _context(
        self,
        variables: Variables,
        small: Array,
    ) -> Array:
        """Return the map of the large image's size that is made of the small image."""
        seen = self.small.observation.normalize(small)
        return cast(Array, self.upsample.apply(variables["upsample"], seen))


def build(
    kind: type[RowLSTM] | type[DiagonalBiLSTM],
    shape: tuple[int, ...],
    *,
    widths: tuple[int, ...] = (16,),
    **settings: Unpack[LayerSettings],
) -> MultiScale:
    """Return a multi-scale PixelRNN of two equal networks.

    Args:
      kind: of the layers.
      shape: (H, W, C) of an image.
      widths: channels of the map after each doubling of the sides.
      **settings: of both PixelRNNs, as in `pixel_rnn.build`.
    """
    height, width, *channels = shape
    factor = 2 ** len(widths)
    small = build_pixel_rnn(kind, (height // factor, width // factor, *channels), **settings)
    around: LayerSettings = {**settings, "context_dim": widths[-1]}
    large = build_pixel_rnn(kind, shape, **around)
    upsample = Upsample(widths, dtype=settings.get("dtype", "float32"))
    return MultiScale(small, large, upsample)


def _neighbours(sets: Bool[np.ndarray, "h w d"]) -> Bool[np.ndarray, "h w d"]:
    """Return what a 3x3 convolution reads at each place."""
    height, width, _ = sets.shape
    bordered = np.pad(sets, ((1, 1), (1, 1), (0, 0)))
    found = np.zeros_like(sets)
    for r in range(3):
        for c in range(3):
            found |= bordered[r : r + height, c : c + width]
    return found

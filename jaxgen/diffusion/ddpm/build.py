"""Diffusion models from plain numbers."""

from jaxgen.arguments import require_positive, require_within
from jaxgen.diffusion.ddim import DDIM
from jaxgen.diffusion.ddpm.model import DDPM
from jaxgen.diffusion.ddpm.networks import MLPDenoiser
from jaxgen.diffusion.ddpm.unet import UNet
from jaxgen.errors import ConfigError


def mlp(
    shape: tuple[int, ...],
    *,
    levels: int | None = None,
    hidden: tuple[int, ...] = (128, 128, 128),
    frequencies: int = 0,
    num_steps: int = 1000,
    schedule: str = "linear",
    variance: str = "large",
    objective: str = "simple",
    ddim: DDIM | None = None,
    activation: str = "silu",
    dtype: str = "float32",
) -> DDPM:
    """Build a diffusion model of dense layers.

    Args:
      shape: of one example.
      levels: of the examples; None for real numbers.
      hidden: widths of the hidden layers.
      frequencies: as in `MLPDenoiser`.
      num_steps: T.
      schedule: as in `DDPM`, and so are the following.
      variance: of p(x_{t-1} | x_t).
      objective: of the training.
      ddim: draws samples, if it is given.
      activation: of the hidden layers.
      dtype: what the network computes in.
    """
    require_positive(hidden=hidden)
    require_within(0, 16, frequencies=frequencies)
    network = MLPDenoiser(
        hidden,
        frequencies=frequencies,
        activation=activation,
        dtype=dtype,
    )
    return DDPM(
        shape,
        network,
        levels=levels,
        num_steps=num_steps,
        schedule=schedule,
        variance=variance,
        objective=objective,
        ddim=ddim,
    )


def unet(
    shape: tuple[int, ...],
    *,
    levels: int | None = None,
    features: int = 32,
    multipliers: tuple[int, ...] = (1, 2),
    blocks: int = 1,
    attention: tuple[int, ...] = (),
    groups: int = 8,
    num_steps: int = 1000,
    schedule: str = "linear",
    variance: str = "large",
    objective: str = "simple",
    ddim: DDIM | None = None,
    dtype: str = "float32",
) -> DDPM:
    """Build a diffusion model of images.

    Args:
      shape: (H, W, C).
      levels: of the examples; None for real numbers of a size near 1.
      features: F, as in `UNet`, and so are the following.
      multipliers: of F at each side.
      blocks: at each side.
      attention: sides with it.
      groups: of the normalisation.
      num_steps: T.
      schedule: as in `DDPM`, and so are the following.
      variance: of p(x_{t-1} | x_t).
      objective: of the training.
      ddim: draws samples, if it is given.
      dtype: what the network computes in.

    Raises:
      ConfigError: no image; sides that cannot be halved so often; maps that are no whole groups.
    """
    require_positive(features=features, multipliers=multipliers, blocks=blocks, groups=groups)
    if len(shape) != 3:
        raise ConfigError(f"a U-Net is for images [H, W, C], not {list(shape)}")
    halvings = len(multipliers) - 1
    height, width, _ = shape
    if height % 2**halvings or width % 2**halvings:
        raise ConfigError(
            f"multipliers: got {len(multipliers)}, but sides of {height} and {width} cannot be "
            f"halved {halvings} times"
        )
    if features % groups:
        raise ConfigError(f"groups: got {groups}, which do not divide {features} features")
    network = UNet(features, multipliers, blocks, attention, groups, dtype=dtype)
    return DDPM(
        shape,
        network,
        levels=levels,
        num_steps=num_steps,
        schedule=schedule,
        variance=variance,
        objective=objective,
        ddim=ddim,
    )

"""Diffusion models from plain numbers."""

from jaxgen.arguments import require_positive, require_within
from jaxgen.diffusion.ddim import DDIM
from jaxgen.diffusion.ddpm.model import DDPM
from jaxgen.diffusion.ddpm.networks import MLPDenoiser


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

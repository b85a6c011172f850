"""The arms of the mode lab: GANs that differ in one thing, at the settings of a paper.

A preset is a pair of networks, their data, optimisers and order of moves; an arm changes the cost,
the discriminator's view of the batch, or what the generator foresees, and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from jaxgen.errors import ConfigError
from jaxgen.experiment import Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.gan import FGAN, GAN, DCGANGenerator, DCGANTrunk, PacGAN, UnrolledGAN
from jaxgen.losses import F_DIVERGENCES
from jaxgen.nn import Discriminator, Initializer, MLPGenerator, MLPTrunk, WithReference

NUM_REFERENCE = 64  # of virtual batch normalisation
MINIBATCH_KERNELS = 16


@dataclass(frozen=True)
class Preset:
    """Networks and settings that all arms share.

    Attributes:
      shape: of an example.
      latent_dim: Z.
      generator: without an arm's normalisation.
      trunk: of the discriminator.
      initializer: of the head.
      optimizer: of both players.
      batch_size: examples (packs, in the arms that pack).
      steps: as published.
      order: in which players move.
    """

    shape: tuple[int, ...]
    latent_dim: int
    generator: MLPGenerator | DCGANGenerator
    trunk: MLPTrunk | DCGANTrunk
    initializer: Initializer
    optimizer: Optimizer
    batch_size: int
    steps: int
    order: Literal["alternating", "simultaneous"]


_ORTHOGONAL = Initializer("orthogonal", 0.8)
_SMALL = Initializer("normal", 0.02)
_HE = Initializer("he_normal")
PRESETS = {
    # Metz et al., 2016, appendix A
    "unrolled": Preset(
        shape=(2,),
        latent_dim=256,
        generator=MLPGenerator((128, 128), (2,), initializer=_ORTHOGONAL),
        trunk=MLPTrunk((128,), "relu", input_scale=0.25, initializer=_ORTHOGONAL),
        initializer=_ORTHOGONAL,
        optimizer=Optimizer(learning_rate=1e-4, beta1=0.5),
        batch_size=512,
        steps=25_000,
        order="simultaneous",
    ),
    # Lin et al., 2017, the code of its experiments on ring and grid: 400 epochs of 100 000 points
    "pacgan": Preset(
        shape=(2,),
        latent_dim=2,
        generator=MLPGenerator((400,) * 4, (2,), norm="batch", initializer=_SMALL),
        trunk=MLPTrunk((200,) * 3, pieces=5, initializer=_SMALL),
        initializer=_SMALL,
        optimizer=Optimizer(learning_rate=1e-4, beta1=0.8),
        batch_size=100,
        steps=400_000,
        order="simultaneous",
    ),
    # of no paper: three layers of 128, small enough for many seeds on a laptop
    "small": Preset(
        shape=(2,),
        latent_dim=2,
        generator=MLPGenerator((128,) * 3, (2,), activation="leaky_relu", initializer=_HE),
        trunk=MLPTrunk((128,) * 3, initializer=_HE),
        initializer=_HE,
        optimizer=Optimizer(learning_rate=2e-4, beta1=0.5),
        batch_size=128,
        steps=12_000,
        order="alternating",
    ),
    # Lin et al., 2017, section 4.2 and table 3: a DCGAN against a discriminator of a quarter of its
    # maps, for 50 epochs of 128 000 images; here for images of 8x8, with half the maps
    "stacked": Preset(
        shape=(8, 8, 3),
        latent_dim=100,
        generator=DCGANGenerator((8, 8, 3), features=32, stages=2, kernel_size=3),
        trunk=DCGANTrunk(features=8, stages=2, kernel_size=3),
        initializer=_SMALL,
        optimizer=Optimizer(learning_rate=2e-4, beta1=0.5),
        batch_size=64,
        steps=100_000,
        order="alternating",
    ),
}


def gan(preset: Preset, **settings: Any) -> GAN:
    """Return the plain game of a preset."""
    return GAN(*_parts(preset), **settings)


def unrolled(preset: Preset, k: int) -> UnrolledGAN:
    """Return the game whose generator foresees k moves."""
    return UnrolledGAN(*_parts(preset), unrolled=k)


def packed(preset: Preset, pack: int) -> PacGAN:
    """Return the game whose discriminator sees packs."""
    return PacGAN(*_parts(preset), pack=pack)


def f_gan(preset: Preset, divergence: str) -> FGAN:
    """Return a row of the f-GAN table; the generator minimises the bound itself."""
    return FGAN(*_parts(preset), divergence, alternative=False)


def minibatch(preset: Preset) -> GAN:
    """Return the game whose discriminator sees how near the others of a batch are."""
    trunk = replace(preset.trunk, minibatch=MINIBATCH_KERNELS)
    return gan(replace(preset, trunk=trunk))


def virtual(preset: Preset) -> GAN:
    """Return the game whose generator has virtual batch normalisation."""
    network = replace(preset.generator, norm="virtual", num_reference=NUM_REFERENCE)
    plain = gan(preset)
    return replace(plain, generator=WithReference(network, NUM_REFERENCE))


def _parts(preset: Preset) -> tuple[tuple[int, ...], int, Any, Discriminator]:
    """Return what all games are made of: shape, Z and the two networks."""
    head = Discriminator(preset.trunk, initializer=preset.initializer)
    return preset.shape, preset.latent_dim, preset.generator, head


ARMS: dict[str, Callable[[Preset], Any]] = {
    "minimax": partial(gan, cost="minimax"),
    "non_saturating": gan,
    "maximum_likelihood": partial(gan, cost="maximum_likelihood"),
    **{f"f_{row}": partial(f_gan, divergence=row) for row in F_DIVERGENCES},
    **{f"unrolled_{k}": partial(unrolled, k=k) for k in (1, 5, 10)},
    "minibatch": minibatch,
    **{f"pac_{m}": partial(packed, pack=m) for m in (2, 3, 4)},
    "virtual_batch_norm": virtual,
    "r1": partial(gan, r1=0.1),
}


def experiment(arm: str, preset: str, steps: int) -> Experiment:
    """Return the arm at the preset. Raises ConfigError for a name that is not there."""
    for given, known, flag in ((arm, ARMS, "arms"), (preset, PRESETS, "preset")):
        if given not in known:
            raise ConfigError(f"--{flag}: got {given!r}, expected one of {', '.join(known)}")
    shared = PRESETS[preset]
    model = ARMS[arm](shared)
    batch_size = shared.batch_size * getattr(model, "pack", 1)
    return Experiment(
        model,
        Settings(steps=steps, batch_size=batch_size),
        optimizers=(shared.optimizer,) * 2,
        order=shared.order,
    )

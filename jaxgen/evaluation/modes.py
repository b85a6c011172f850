"""Modes of a known mixture (`data/readers/mixtures.py`): how many a model draws, how evenly.

A sample belongs to the mode whose centre is nearest and is of high quality within three standard
deviations of it. Of the number of high-quality samples at each of M modes,

    covered       modes with at least one of them
    high quality  their share of all samples; 1 - exp(-9/2) = 0.9889 of a perfect one in the plane
    reverse KL    KL(their histogram over modes || uniform), log M if all lie at one mode

Srivastava et al., 2017, "VEEGAN: reducing mode collapse in GANs using implicit variational
learning" (arXiv 1705.07761); Lin et al., 2018, "PacGAN: the power of two samples in generative
adversarial networks" (arXiv 1712.04086), who add the divergence. Images of stacked digits are
counted by what a classifier reads in each channel: Metz et al., 2017, "Unrolled generative
adversarial networks" (arXiv 1611.02163).

All functions are of jax.numpy alone and may be compiled and mapped over seeds. Where no sample is
of high quality there is no histogram: the divergence is then log M, the largest it can be, and
`covered` is 0.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Float, Int

from jaxgen.typing import Array


class Modes(NamedTuple):
    """The modes among samples of a mixture.

    Attributes:
      covered: modes with a sample of high quality.
      high_quality: share of all samples.
      reverse_kl: of the histogram of high-quality samples to the uniform one, nats.
    """

    covered: Int[Array, ""]
    high_quality: Float[Array, ""]
    reverse_kl: Float[Array, ""]


def measure_modes(
    x: Float[Array, "n d"],
    centres: Float[Array, "m d"],
    std: float,
    *,
    within: float = 3.0,
) -> Modes:
    """Return modes covered, share of high quality and reverse KL of samples.

    Args:
      x: samples.
      centres: of the modes.
      std: of each mode, in every dimension.
      within: a sample is of high quality up to so many std from the nearest centre; three in the
        plane, ten in 1200 dimensions, where almost no draw is within three.
    """
    counts = mode_counts(x, centres, within * std)
    high_quality = counts.sum() / len(x)
    return Modes(covered(counts), high_quality, divergence_from_uniform(counts))


def mode_counts(
    x: Float[Array, "n d"],
    centres: Float[Array, "m d"],
    radius: float,
) -> Int[Array, " m"]:
    """Count the samples that are nearest to each centre and within `radius` of it."""
    difference = x[:, None] - centres[None]  # [N, M, D]
    squared = (difference**2).sum(axis=-1)
    nearest = squared.argmin(axis=1)
    near = squared.min(axis=1) <= radius**2
    none = jnp.zeros(len(centres), jnp.int32)
    return none.at[nearest].add(near)


def label_counts(label: Int[Array, " n"], num_modes: int) -> Int[Array, " m"]:
    """Count the samples that a classifier gave each label 0 .. num_modes - 1; others count none."""
    place = jnp.where(label < 0, num_modes, label)  # -1 would be the last mode
    return jnp.zeros(num_modes, jnp.int32).at[place].add(1, mode="drop")


def stacked_label(digits: Int[Array, "n c"], base: int = 10) -> Int[Array, " n"]:
    """Return one label for the classes of several channels: 7, 0, 4 is mode 704."""
    powers = base ** jnp.arange(digits.shape[1])[::-1]
    return (digits * powers[None]).sum(axis=1)


def covered(counts: Int[Array, " m"]) -> Int[Array, ""]:
    """Count the modes with at least one sample."""
    return (counts > 0).sum()


def divergence_from_uniform(counts: Int[Array, " m"]) -> Float[Array, ""]:
    """Return KL(histogram || uniform) in nats, 0 .. log M; log M for an empty histogram."""
    total = counts.sum()
    num = len(counts)
    share = counts / jnp.maximum(total, 1)
    divergence = jnp.maximum(xlogy(share, num * share).sum(), 0.0)
    return jnp.where(total > 0, divergence, math.log(num))

"""Walks end where they should and are smooth; arithmetic adds exactly what is linear in z."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.errors import ConfigError
from jaxgen.evaluation.latent import arithmetic, combine, largest_step, lerp, slerp, walk

KEY = jax.random.key(0)


@dataclass(frozen=True)
class Attributes:
    """A generator whose pixels are attributes, each linear in z."""

    latent_dim: int = 6
    shape: tuple[int, ...] = (2, 3, 1)

    def decode(self, variables, z):
        """[B, Z] -> [B, 2, 3, 1]; refuses anything but a batch of latents."""
        batch, dim = z.shape
        assert dim == self.latent_dim
        return (z @ variables["attributes"]).reshape(batch, *self.shape)


@dataclass(frozen=True)
class Switch(Attributes):
    """Remembers two examples and shows one or the other."""

    def decode(self, variables, z):
        """The sign of the first latent decides."""
        return jnp.where(z[:, :1] > 0, 1.0, -1.0) * jnp.ones((1, 6))


MODEL = Attributes()
VARIABLES = {"attributes": jax.random.normal(jax.random.key(1), (6, 6))}
A, B = jax.random.normal(KEY, (2, 3, 6))


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_a_walk_begins_and_ends_at_its_latents(path):
    frames = walk(MODEL, VARIABLES, A, B, 7, path)
    assert frames.shape == (3, 7, 2, 3, 1)
    np.testing.assert_allclose(frames[:, 0], MODEL.decode(VARIABLES, A), atol=1e-6)
    np.testing.assert_allclose(frames[:, -1], MODEL.decode(VARIABLES, B), atol=1e-6)


@pytest.mark.parametrize("line", [lerp, slerp])
def test_the_ends_are_the_latents_bit_for_bit(line):
    points = line(A, B, 5)
    np.testing.assert_array_equal(points[:, 0], A)
    np.testing.assert_array_equal(points[:, -1], B)


def test_one_latent_is_one_walk():
    assert walk(MODEL, VARIABLES, A[0], B[0], 4).shape == (4, 2, 3, 1)


def test_a_straight_line_has_its_mean_in_the_middle():
    np.testing.assert_allclose(lerp(A, B, 3)[:, 1], (A + B) / 2, rtol=1e-6)


def test_an_arc_keeps_the_length_and_the_angle():
    a, b = jnp.asarray([2.0, 0.0, 0.0]), jnp.asarray([0.0, 0.0, 2.0])
    points = slerp(a, b, 4)
    np.testing.assert_allclose(jnp.linalg.norm(points, axis=1), 2.0, rtol=1e-6)
    angles = jnp.arctan2(points[:, 2], points[:, 0])
    np.testing.assert_allclose(angles, jnp.linspace(0, jnp.pi / 2, 4), atol=1e-6)
    assert jnp.linalg.norm(lerp(a, b, 3)[1]) < 1.5  # as the straight line does not


def test_where_there_is_no_arc_the_path_is_straight():
    a = A[0]
    for b in (a, 1.5 * a, -a, jnp.zeros(6)):
        points = slerp(a, b, 5)
        assert jnp.isfinite(points).all()
        np.testing.assert_allclose(points, lerp(a, b, 5), atol=1e-6)


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_twice_the_frames_halve_the_largest_step(path):
    steps = [largest_step(walk(MODEL, VARIABLES, A[0], B[0], n, path)) for n in (101, 201)]
    assert steps[0] / steps[1] == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize(("path", "line"), [("linear", lerp), ("spherical", slerp)])
def test_a_path_is_the_line_or_the_arc_of_its_name(path, line):
    frames = walk(MODEL, VARIABLES, A, B, 5, path)
    expected = (line(A, B, 5) @ VARIABLES["attributes"]).reshape(3, 5, 2, 3, 1)
    np.testing.assert_allclose(frames, expected, atol=1e-5)
    assert jnp.abs(lerp(A, B, 5) - slerp(A, B, 5)).max() > 0.1  # the two differ


def test_a_generator_that_switches_is_found_out():
    ends = jnp.asarray([[-1.0, 1, 0, 0, 0, 0], [1.0, 1, 0, 0, 0, 0]])
    steps = [largest_step(walk(Switch(), {}, *ends, n)) for n in (101, 201)]
    assert steps[0] == steps[1] > 0


def test_a_path_of_another_name_is_refused():
    with pytest.raises(ConfigError, match="path: got 'scenic'"):
        walk(MODEL, VARIABLES, A, B, 3, "scenic")


def concepts(seed=3):
    """Exemplars of (man with glasses, man, woman): latents with attributes set, and others."""
    others = 0.1 * jax.random.normal(jax.random.key(seed), (3, 4, 6))
    man = others.at[:, :, :2].set(0.0)
    return man[0].at[:, 1].set(1.0), man[1], man[2].at[:, 0].set(1.0)


def test_the_exemplars_may_come_in_any_order():
    a, b, c = concepts()
    shuffled = [x[jnp.asarray([2, 0, 3, 1])] for x in (a, b, c)]
    np.testing.assert_allclose(combine(*shuffled), combine(a, b, c), atol=1e-6)


def test_glasses_without_the_man_on_a_woman():
    glasses, man, woman = concepts()
    variables = {"attributes": jnp.eye(6)}
    made = arithmetic(MODEL, variables, glasses, man, woman).reshape(1, 6)
    np.testing.assert_allclose(made[0, :2], [1.0, 1.0], atol=1e-6)


def test_what_is_linear_in_z_adds_exactly():
    a, b, c = concepts()

    def mean(z):
        return MODEL.decode(VARIABLES, z).mean(axis=0)

    made = arithmetic(MODEL, VARIABLES, a, b, c)
    np.testing.assert_allclose(made[0], mean(a) - mean(b) + mean(c), atol=1e-5)


def test_neighbours_lie_around_the_result():
    a, b, c = concepts()
    variables = {"attributes": jnp.eye(6)}
    made = arithmetic(MODEL, variables, a, b, c, key=KEY, neighbours=50).reshape(51, 6)
    np.testing.assert_allclose(made[0], combine(a, b, c), rtol=1e-6)
    away = made[1:] - made[:1]
    assert -0.25 <= away.min() < -0.2
    assert 0.2 < away.max() <= 0.25
    assert (jnp.abs(away).max(axis=1) > 0).all()


def test_what_cannot_be_combined_is_refused():
    a, b, c = concepts()
    with pytest.raises(ConfigError, match="concept b"):
        combine(a, b[:0], c)
    with pytest.raises(ConfigError, match="no key"):
        arithmetic(MODEL, VARIABLES, a, b, c, neighbours=2)


@dataclass(frozen=True)
class Labelled(Attributes):
    """Its last pixel is its class."""

    def decode(self, variables, z, label):
        """[B, Z], [B] -> [B, 2, 3, 1]."""
        x = super().decode(variables, z)
        return x.at[:, 1, 2, 0].set(label)


def test_a_walk_keeps_its_class():
    frames = walk(Labelled(), VARIABLES, A, B, 7, label=np.asarray([4, 5, 6]))
    expected = np.repeat([[4.0], [5.0], [6.0]], 7, axis=1)
    np.testing.assert_array_equal(frames[:, :, 1, 2, 0], expected)
    rest, plain = frames.at[:, :, 1, 2].set(0), walk(MODEL, VARIABLES, A, B, 7)
    np.testing.assert_allclose(rest, plain.at[:, :, 1, 2].set(0), atol=1e-6)

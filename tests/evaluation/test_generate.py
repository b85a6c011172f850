"""What models make, as arrays, by their own latents and conditions; refused where they cannot."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.errors import ConfigError, DataError
from jaxgen.evaluation import generate
from jaxgen.evaluation.latent import lerp, slerp

KEY = jax.random.key(5)
MATRIX = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)


@dataclass(frozen=True)
class Linear:
    """A decoder without bias, so that latents can be read off what it makes."""

    prior: str = "normal"
    shape: tuple[int, ...] = (4,)

    def latents(self, key, num):
        """[num, 3]."""
        return jax.random.normal(key, (num, 3))

    def decode(self, variables, z):
        """[B, 3] -> [B, 4]."""
        return z @ MATRIX


@dataclass(frozen=True)
class Coded(Linear):
    """Its codes are the first three numbers, its decoder may be given a class."""

    given: tuple[str, ...] = ()

    def encode(self, variables, x, label=0.0):
        """[B, 4] -> [B, 3]."""
        return x[:, :3] + jnp.reshape(label, (-1, 1))

    def decode(self, variables, z, label=0.0):
        """[B, 3] -> [B, 4]."""
        return z @ MATRIX + 100 * jnp.reshape(label, (-1, 1))


class Observed(Linear):
    """Draws its samples from a p(x | z)."""

    observation = "any"

    def latents(self, key, num):
        """Far from those of a standard normal."""
        return 7.0 + jax.random.normal(key, (num, 3))

    def sample(self, variables, key, num):
        """Noise around the means."""
        z_key, noise_key = jax.random.split(key)
        means = self.decode(variables, self.latents(z_key, num))
        return means + jax.random.normal(noise_key, means.shape)


class Encoding:
    """Has codes and nothing that decodes them."""

    def encode(self, variables, x):
        """[B, 4] -> [B, 3]."""
        return x[:, :3]


def test_the_means_of_a_vae_are_those_of_the_latents_of_its_samples():
    model = tiny.experiment("vae").model
    variables = tiny.fresh("vae").variables
    made, kind = generate.samples(model, variables, KEY, 6)
    z = jax.random.normal(jax.random.split(KEY)[0], (6, model.latent_dim))
    np.testing.assert_array_equal(made, jax.jit(model.decode)(variables, z))
    assert kind == "means of p(x | z)"
    draws, kind = generate.samples(model, variables, KEY, 6, means=False)
    np.testing.assert_array_equal(draws, jax.jit(model.sample, static_argnums=2)(variables, KEY, 6))
    assert kind == "samples"


def test_means_are_decoded_from_the_models_own_latents():
    made, _ = generate.samples(Observed(), {}, KEY, 500)
    z = np.linalg.lstsq(np.asarray(MATRIX).T, made.T, rcond=None)[0]
    assert z.mean() == pytest.approx(7, abs=0.1)
    draws, _ = generate.samples(Observed(), {}, KEY, 500, means=False)
    assert np.std(draws - made) == pytest.approx(1, abs=0.05)  # the same latents


@pytest.mark.parametrize(("prior", "path"), [("uniform", lerp), ("normal", slerp)])
def test_walks_are_lines_in_a_cube_and_arcs_under_a_gaussian(prior, path):
    model = Linear(prior)
    made = generate.prior_walks(model, {}, KEY, 2, 5)
    z = model.latents(KEY, 4)
    expected = path(z[:2], z[2:], 5) @ MATRIX
    np.testing.assert_allclose(made, expected, atol=1e-5)
    assert np.abs(lerp(z[:2], z[2:], 5) - slerp(z[:2], z[2:], 5)).max() > 0.1  # they differ


def test_interpolations_are_lines_between_the_codes():
    x = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    made = generate.interpolations(Coded(), {}, x, 4)
    expected = lerp(x[:3, :3], x[3:, :3], 4) @ MATRIX
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_conditions_go_with_the_examples_and_stay_on_the_way():
    x = np.zeros((4, 4), np.float32)
    label = np.asarray([1.0, 2.0, 3.0, 4.0], np.float32)
    made = generate.interpolations(Coded(), {}, x, 3, conditions={"label": label})
    ends = lerp(np.full((2, 3), label[:2, None]), np.full((2, 3), label[2:, None]), 3)
    np.testing.assert_allclose(made, ends @ MATRIX + 100 * label[:2, None, None], rtol=1e-5)


class Maps(Coded):
    """Its codes are maps [B, 3, 1, 1], and so are its latents."""

    def latents(self, key, num):
        """[num, 3, 1, 1]."""
        return super().latents(key, num).reshape(num, 3, 1, 1)

    def encode(self, variables, x, label=0.0):
        """[B, 4] -> [B, 3, 1, 1]."""
        return super().encode(variables, x, label).reshape(-1, 3, 1, 1)

    def decode(self, variables, z, label=0.0):
        """[B, 3, 1, 1] -> [B, 4]."""
        assert z.shape[1:] == (3, 1, 1)
        return super().decode(variables, z[..., 0, 0], label)


def test_codes_may_be_maps():
    x = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    found = generate.interpolations(Maps(), {}, x, 4)
    np.testing.assert_array_equal(found, generate.interpolations(Coded(), {}, x, 4))
    walks = generate.prior_walks(Maps(), {}, KEY, 2, 5)
    np.testing.assert_array_equal(walks, generate.prior_walks(Coded(), {}, KEY, 2, 5))


X = np.zeros((2, 4), np.float32)
REFUSED = {
    "encode": (lambda model: generate.interpolations(model, {}, X, 3), Linear()),
    "decode": (lambda model: generate.interpolations(model, {}, X, 3), Encoding()),
    "latents": (lambda model: generate.prior_walks(model, {}, KEY, 2, 3), Encoding()),
    "reconstruct": (lambda model: generate.reconstructions(model, {}, X), Linear()),
    "sample": (lambda model: generate.samples(model, {}, KEY, 2), Linear()),
}


@pytest.mark.parametrize("missing", REFUSED)
def test_what_a_model_cannot_do_is_refused_by_name(missing):
    make, model = REFUSED[missing]
    with pytest.raises(ConfigError, match=f"{type(model).__name__} has no {missing}"):
        make(model)


def test_half_of_an_image_or_a_vector_is_known():
    upper = generate.known_half((4, 6, 1), "upper")
    left = generate.known_half((4, 6, 1), "left")
    assert upper.sum() == left.sum() == 12
    assert upper[:2].all()
    assert left[:, :3].all()
    assert generate.known_half((5,), "left").tolist() == [True, True, False, False, False]


@dataclass(frozen=True)
class Conditioned:
    """Is given the class, and a field of the data."""

    num_classes: int = 3
    given: tuple[str, ...] = ("label", "low")


class Data:
    """Two test examples."""

    def batch(self, split, num):
        """What they are given."""
        assert split == "test"
        return {"image": np.zeros((2, 4)), "low": np.asarray([[5.0], [6.0]])[:num]}


def test_samples_are_conditioned_on_all_classes_alike_and_on_test_examples():
    found = generate.conditions_of_samples(Conditioned(), Data, 6)
    assert found["label"].tolist() == [0, 0, 1, 1, 2, 2]
    assert found["low"].tolist() == [[5.0], [6.0], [5.0], [6.0], [5.0], [6.0]]
    found = generate.conditions_of_samples(Conditioned(), Data, 2, label=1)
    assert found["label"].tolist() == [1, 1]
    assert generate.conditions_of_samples(Linear(), Data, 6) == {}
    for model, label, expected in ((Conditioned(), 3, r"0 \.\. 2"), (Linear(), 0, "none")):
        with pytest.raises(ConfigError, match=f"--label: got {label}, expected {expected}"):
            generate.conditions_of_samples(model, Data, 6, label)


@dataclass(frozen=True)
class Lent:
    """Is given the class, and does not say how many there are; and another field, if there is."""

    given: tuple[str, ...] = ("label", "caption")
    optional: tuple[str, ...] = ("caption",)


class Labelled:
    """Three labelled test examples of four classes."""

    num_classes = 4

    def batch(self, split, num):
        """No captions."""
        assert split == "test"
        return {"image": np.zeros((3, 4))[:num], "label": np.asarray([3, 1, 2])[:num]}


def test_a_model_that_does_not_know_its_classes_takes_the_labels_of_the_data():
    found = generate.conditions_of_samples(Lent(), Labelled, 5)
    assert {name: value.tolist() for name, value in found.items()} == {"label": [3, 1, 2, 3, 1]}
    found = generate.conditions_of_samples(Lent(), Labelled, 2, label=3)
    assert found["label"].tolist() == [3, 3]
    with pytest.raises(ConfigError, match=r"--label: got 4, expected 0 \.\. 3"):
        generate.conditions_of_samples(Lent(), Labelled, 2, label=4)


def test_a_field_that_the_data_lack_is_left_out_or_named():
    found = generate.conditions_of_samples(Conditioned(given=("label", "caption")), Captioned, 2)
    assert found["caption"].tolist() == ["a", "b"]
    with pytest.raises(DataError, match="Conditioned is given 'caption'"):
        generate.conditions_of_samples(Conditioned(given=("label", "caption")), Labelled, 2)


class Captioned(Labelled):
    """With captions."""

    def batch(self, split, num):
        """As many as there are examples."""
        captions = np.asarray(["a", "b", "c"])[:num]
        return {**super().batch(split, num), "caption": captions}


def test_a_picture_has_a_row_for_each_class():
    assert generate.fill_rows(Conditioned(), 7) == (9, 3)
    assert generate.fill_rows(Conditioned(), 7, label=1) == (7, None)
    assert generate.fill_rows(Linear(), 7) == (7, None)

"""The width of a mixture's components, in levels, and what records of before say of it."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.distributions import MixtureOfLogistics
from jaxgen.experiment.spec import from_json, to_json
from jaxgen.runs.formats import migrated


def test_for_bytes_the_least_scale_is_the_authors():
    assert MixtureOfLogistics(256).least == -7.0


@pytest.mark.parametrize("levels", [2, 17, 256, 4096, 65_536])
def test_the_narrowest_component_is_as_wide_in_levels_whatever_their_number(levels):
    mixture = MixtureOfLogistics(levels, 1)
    middle = float(levels // 2)
    mean = 2 * middle / (levels - 1) - 1
    outputs = jnp.array([[0.0, mean, -100.0]])  # a logit, a mean, a log scale
    params = mixture.sub_pixels(outputs, jnp.array([[middle]]))
    scale = np.exp(float(params[0, 0, 2])) * (levels - 1) / 2
    assert scale == pytest.approx(np.exp(-7) * 127.5, rel=1e-5)
    if levels > 2:  # it holds its own level, and its neighbours are not impossible
        inner = np.exp(float(mixture.log_prob(params, jnp.array([[middle]]))[0, 0]))
        assert 0.97 < inner < 0.98


def test_of_many_levels_a_component_can_be_one_level_wide():
    mixture = MixtureOfLogistics(65_536, 1)
    assert mixture.least < np.log(2 / 65_535) < -10


def test_records_of_before_keep_the_scale_that_they_had():
    table = {"MixtureOfLogistics": MixtureOfLogistics}
    old = to_json(MixtureOfLogistics(17))
    del old["least_log_scale"]
    found = migrated({"format": 3, "experiment": {"model": {"parts": [old]}}})["experiment"]
    back = from_json(found["model"]["parts"][0], table)
    assert back.least == -7.0
    assert found["rules"] == 1
    assert from_json(old, table).least == pytest.approx(-7 + np.log(255 / 16))

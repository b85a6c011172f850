"""What is said of a step that is not finite: the cause, where the data are one, and the cure."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxgen.distributions.observation import DiscretizedLogistic, Gaussian
from jaxgen.loop.nonfinite import remedy

REAL = SimpleNamespace(observation=Gaussian())
LEVELS = SimpleNamespace(observation=DiscretizedLogistic(256))
GAME = SimpleNamespace()


@pytest.mark.parametrize("model", [REAL, GAME])
def test_data_that_are_not_scaled_are_named_as_the_cause(model):
    x = np.array([[3.0, -50.0]], np.float32)
    cause, hint = remedy(model, {"image": x, "label": np.array([400])}, None)
    assert cause == "The data are not scaled: image has values up to 50. "
    assert "divided" in hint
    cause, hint = remedy(model, {"image": np.abs(x), "context": 0 * x}, 256)
    assert "up to 50" in cause
    assert hint.startswith("--data.transform ")
    cause, _ = remedy(model, {"image": 0 * x, "context": x}, None)
    assert "context has values up to 50" in cause


def test_levels_that_a_model_scales_itself_and_data_of_size_one_are_no_cause():
    x = np.array([[0.5, 255.0, np.inf]], np.float32)
    told = ("", "a smaller --optimizer.learning-rate, or --optimizer.clip-norm 1")
    assert remedy(LEVELS, {"image": x}, 256) == told
    assert remedy(REAL, {"image": x[:, :1]}, None) == told
    assert remedy(REAL, {"image": np.array([[np.inf, np.nan]])}, None) == told

"""What all autoregressive models inherit: what they are given, and the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen.autoregressive import nade, wavenet

NAME = "wavenet conditional"
MODEL = tiny.experiment(NAME).model
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def variables():
    return tiny.perturbed(NAME).variables


def test_a_model_is_given_what_it_is_conditioned_on():
    assert nade.NADE((4,), 3).given == ()
    assert MODEL.given == ("label",)
    settings = {"num_layers": 1, "num_blocks": 1, "features": 2, "skip": 2}
    with_context = wavenet.build((6,), levels=2, context_dim=3, context_stride=2, **settings)
    assert with_context.given == ("context",)
    both = wavenet.build((6,), levels=2, num_classes=2, context_dim=3, context_stride=2, **settings)
    assert both.given == ("label", "context")


def test_classes_take_turns_where_no_label_is_given(variables):
    np.testing.assert_array_equal(MODEL.with_label(5, {})["label"], [0, 1, 0, 1, 0])
    x = tiny.examples(MODEL, 5)
    mask = jnp.arange(6) < 3
    complete = jax.jit(MODEL.complete)
    turns = jnp.asarray([0, 1, 0, 1, 0])
    expected = complete(variables, KEY, x, mask, label=turns)
    np.testing.assert_array_equal(complete(variables, KEY, x, mask), expected)


def test_the_loss_is_the_mean_of_minus_log_p_given_the_label(variables):
    x = tiny.examples(MODEL)
    label = jnp.arange(8) // 3 % 2
    batch = {"image": x, "label": label}
    loss, _ = jax.jit(MODEL.likelihood_loss)(variables, batch, KEY)
    log_prob = jax.jit(MODEL.log_prob)(variables, x, label=label)
    assert log_prob.shape == (8,)
    assert float(loss) == pytest.approx(-np.asarray(log_prob).sum() / 8, rel=1e-5)
    other = jax.jit(MODEL.log_prob)(variables, x, label=1 - label)
    assert not np.allclose(log_prob, other)

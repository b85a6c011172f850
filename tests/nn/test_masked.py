"""Masked convolutions: what the masks let through, and that both forms are one convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.errors import ConfigError
from jaxgen.nn import masked
from jaxgen.nn.masked import conv_by_lax, conv_by_matmul, group_mask, kernel_mask, live_taps

SIZES = [(1, 1), (1, 3), (2, 3), (3, 5), (4, 7)]


def loops(x, kernel):
    """The definition: the last row and the middle column of the kernel lie on the pixel."""
    (rows, width, _, outputs), (batch, height, columns, _) = kernel.shape, x.shape
    y = np.zeros((batch, height, columns, outputs))
    for r, c, i, j in np.ndindex(height, columns, rows, width):
        row, column = r + i - (rows - 1), c + j - width // 2
        if row >= 0 and 0 <= column < columns:
            y[:, r, c] += x[:, row, column] @ kernel[i, j]
    return y


def arrays(size, inputs=3, outputs=4):
    random = np.random.default_rng(0)
    x, kernel = random.normal(size=(2, 5, 6, inputs)), random.normal(size=(*size, inputs, outputs))
    return x.astype(np.float32), kernel.astype(np.float32)


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5), a, b)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", [conv_by_lax, conv_by_matmul])
def test_each_form_is_the_definition(form, size):
    x, kernel = arrays(size)
    close(form(x, kernel), loops(x, kernel))


@pytest.mark.parametrize("size", SIZES)
def test_both_forms_have_the_same_gradients(size):
    x, kernel = arrays(size)
    weights = np.random.default_rng(1).normal(size=(2, 5, 6, 4)).astype(np.float32)

    def gradients(form):
        return jax.jit(jax.grad(lambda x, k: (weights * form(x, k)).sum(), (0, 1)))(x, kernel)

    close(gradients(conv_by_matmul), gradients(conv_by_lax))


@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize("groups", [1, 3])
def test_taps_left_out_change_nothing(kind, groups):
    x, kernel = arrays((2, 3), 3, 6)
    kernel = np.where(kernel_mask((3, 3), 3, 6, kind, groups, 1), kernel, 0)
    live = live_taps(kernel.shape, kind, groups)
    np.testing.assert_array_equal(live, kernel.any(axis=(2, 3)))
    weights = np.random.default_rng(1).normal(size=(2, 5, 6, 6)).astype(np.float32)
    few = jax.vjp(lambda x: conv_by_matmul(x, kernel, live), x)
    all_taps = jax.vjp(lambda x: conv_by_lax(x, kernel), x)
    close(few[0], all_taps[0])
    close(few[1](weights), all_taps[1](weights))


@pytest.mark.parametrize(("backend", "form"), [("cpu", "conv_by_matmul"), ("gpu", "conv_by_lax")])
def test_the_form_follows_the_backend(backend, form, monkeypatch):
    called = []
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    for name in ("conv_by_matmul", "conv_by_lax"):
        whole = getattr(masked, name)

        def record(*arguments, name=name, whole=whole):
            called.append(name)
            return whole(*arguments)

        monkeypatch.setattr(masked, name, record)
    masked.causal_conv(*arrays((2, 3)))
    assert called == [form]


def test_rows_alone_are_those_of_the_whole():
    x, kernel = arrays((3, 5))
    close(masked.conv_rows(x, kernel), conv_by_lax(x, kernel)[:, 2:])


def test_mask_a_hides_the_pixel_and_mask_b_shows_it():
    first, later = (kernel_mask((3, 3), 1, 1, kind, 1, 1)[..., 0, 0] for kind in "AB")
    np.testing.assert_array_equal(first, [[1, 1, 1], [1, 0, 0]])
    np.testing.assert_array_equal(later, [[1, 1, 1], [1, 1, 0]])


def test_a_colour_sees_at_its_pixel_those_before_it():
    strictly_before = np.triu(np.ones((3, 3)), 1)
    np.testing.assert_array_equal(group_mask(3, 3, "A", 3), strictly_before)
    np.testing.assert_array_equal(group_mask(3, 3, "B", 3), strictly_before + np.eye(3))


def test_other_pixels_are_open_to_all_colours():
    mask = kernel_mask((3, 5), 3, 6, "A", 3, 1)
    assert mask.shape == (2, 5, 3, 6)
    assert mask[0].all()
    assert mask[1, :2].all()
    assert not mask[1, 3:].any()


def test_each_gate_is_grouped_for_itself():
    mask = group_mask(3, 12, "B", 3, blocks=4)
    for gate in np.split(mask, 4, axis=1):
        np.testing.assert_array_equal(gate, group_mask(3, 3, "B", 3))


def test_maps_that_cannot_be_cut_into_groups_are_refused():
    with pytest.raises(ConfigError, match="4 -> 6 cannot be cut into 3 groups"):
        group_mask(4, 6, "A", 3)


def test_coordinates_run_from_minus_one_to_one():
    place = masked.coordinates(3, 5)
    assert place.shape == (3, 5, 2)
    np.testing.assert_array_equal(place[:, 0, 0], [-1, 0, 1])
    np.testing.assert_array_equal(place[0, :, 1], [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_array_equal(masked.coordinates(1, 1), [[[0, 0]]])
    assert jnp.asarray(place).dtype == jnp.float32

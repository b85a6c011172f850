"""Pictures keep every pixel in its place, and a file is written whole or not at all."""

import io
import os

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxgen.errors import StorageError
from jaxgen.figures import gallery, images, plots


def batch(num, side=8, channels=1):
    """Images of which no two are alike, with values that 8 bits hold exactly."""
    noise = np.random.default_rng(num)
    return noise.integers(0, 256, (num, side, side, channels)).astype(np.float32) / 255


def enlarged(image, factor):
    """[H, W, C] in [0, 1] -> uint8 [f * H, f * W, 3], written out pixel by pixel."""
    height, width, channels = image.shape
    result = np.zeros((factor * height, factor * width, 3), np.uint8)
    for y in range(factor * height):
        for x in range(factor * width):
            for c in range(3):
                result[y, x, c] = round(255 * float(image[y // factor, x // factor, c % channels]))
    return result


@pytest.mark.parametrize("num", range(1, 21))
def test_grid_keeps_every_tile_at_its_place(num):
    pictures, columns = batch(num, side=4, channels=1 + 2 * (num % 2)), int(np.ceil(np.sqrt(num)))
    result = images.grid(pictures, padding=3, min_side=8)
    rows = -(-num // columns)
    assert result.shape == (rows * 11 + 3, columns * 11 + 3, 3)
    seen = np.zeros(result.shape[:2], bool)
    for i, image in enumerate(pictures):
        top, left = 3 + 11 * (i // columns), 3 + 11 * (i % columns)
        np.testing.assert_array_equal(result[top : top + 8, left : left + 8], enlarged(image, 2))
        seen[top : top + 8, left : left + 8] = True
    assert np.all(result[~seen] == images.BACKGROUND)  # gaps, border and empty places


@pytest.mark.parametrize(
    ("side", "factor"), [(1, 48), (8, 6), (28, 2), (32, 2), (47, 2), (48, 1), (64, 1), (200, 1)]
)
def test_small_images_are_enlarged_by_a_whole_factor(side, factor):
    assert images.grid(batch(1, side), padding=0).shape == (side * factor, side * factor, 3)


def test_columns_are_kept_even_beyond_the_number_of_images():
    assert images.grid(batch(3), columns=5, padding=1, min_side=1).shape == (10, 46, 3)
    assert images.grid(batch(3), columns=1, padding=1, min_side=1).shape == (28, 10, 3)


def test_values_outside_the_range_are_clipped():
    pictures = np.array([-np.inf, -0.5, 0.0, 0.5, 1.0, 7.0, np.inf, np.nan]).reshape(8, 1, 1, 1)
    result = images.grid(pictures, columns=8, padding=0, min_side=1)[0, :, 0]
    np.testing.assert_array_equal(result, [0, 0, 0, 128, 255, 255, 255, 0])


def test_arguments_are_not_changed_and_device_arrays_are_taken():
    pictures = batch(5)
    before = pictures.copy()
    np.testing.assert_array_equal(images.grid(jnp.asarray(pictures)), images.grid(pictures))
    np.testing.assert_array_equal(pictures, before)


@pytest.mark.parametrize(
    "shape", [(0, 8, 8, 1), (2, 8, 8, 2), (8, 8, 1), (2, 8, 8, 4), (2, 0, 8, 1)]
)
def test_grid_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"images must be \[N, H, W, C\]"):
        images.grid(np.zeros(shape))


def test_grid_refuses_no_columns():
    with pytest.raises(ValueError, match="columns must be at least 1, not 0"):
        images.grid(batch(2), columns=0)


@pytest.mark.parametrize("num", [1, 3, 4, 7])
def test_each_reconstruction_lies_below_its_original(num):
    originals, copies, columns, padding = batch(num), batch(num + 100)[:num], 3, 2
    result = images.pairs(originals, copies, columns, padding, min_side=1)
    bands = -(-num // columns)
    for i in range(num):
        top = padding + (i // columns) * (2 * (8 + padding) + 3 * padding)
        left = padding + (i % columns) * (8 + padding)
        below = top + 8 + padding
        np.testing.assert_array_equal(
            result[top : top + 8, left : left + 8], enlarged(originals[i], 1)
        )
        np.testing.assert_array_equal(
            result[below : below + 8, left : left + 8], enlarged(copies[i], 1)
        )
    assert result.shape == (bands * 26 - 6 + padding, 3 * 10 + padding, 3)


def test_pairs_refuses_batches_of_different_shape():
    with pytest.raises(ValueError, match=r"\(2, 8, 8, 1\) and reconstructions \(3, 8, 8, 1\)"):
        images.pairs(batch(2), batch(3))


def test_rows_puts_one_strip_in_a_row():
    strips = batch(12).reshape(3, 4, 8, 8, 1)
    result = images.rows(strips, padding=1, min_side=1)
    assert result.shape == (3 * 9 + 1 + 2 * 4, 4 * 9 + 1, 3)
    for r in range(3):
        for s in range(4):
            top, left = 1 + r * 13, 1 + s * 9
            np.testing.assert_array_equal(
                result[top : top + 8, left : left + 8], enlarged(strips[r, s], 1)
            )
    with pytest.raises(ValueError, match=r"\[R, S, H, W, C\]"):
        images.rows(batch(3))


def test_panels_hold_each_image_below_its_caption():
    left, right = images.grid(batch(4)), images.grid(batch(1))
    result = images.panels({"samples, step 4000": left, "real": right}, padding=12, size=15)
    top = 12 + 24
    assert result.shape[0] == top + left.shape[0] + 12
    np.testing.assert_array_equal(result[top:-12, 12 : 12 + left.shape[1]], left)
    start = 12 + max(left.shape[1], result.shape[1] - 36 - right.shape[1]) + 12
    below = result[top : top + right.shape[0], start:][:, : right.shape[1]]
    np.testing.assert_array_equal(below, right)
    assert result[:top, : left.shape[1]].min() < 100  # something is written there


def test_panels_make_room_for_a_long_caption_and_refuse_what_is_no_picture():
    small = images.grid(batch(1))
    wide = images.panels({"a caption much longer than the picture is wide": small})
    assert wide.shape[1] > 4 * small.shape[1]
    with pytest.raises(ValueError, match="at least one"):
        images.panels({})
    with pytest.raises(ValueError, match="float32"):
        images.panels({"x": small.astype(np.float32)})


def coloured(image, colour):
    """Where an image has nearly the colour '#rrggbb'."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return np.abs(image.astype(int) - wanted).sum(axis=-1) < 120


def test_scatter_draws_points_where_they_are_on_common_axes():
    blob = np.random.default_rng(0).normal(size=(500, 2)) * 0.05
    image = plots.scatter({"samples": blob + 1, "real": blob - 1})
    half = image.shape[1] // 2
    first, second = (coloured(image, colour) for colour in plots.COLOURS[:2])
    assert first[:, :half].sum() > 50
    assert second[:, half:].sum() > 50
    assert not first[:, half:].any()
    height_of = [np.nonzero(mask)[0].mean() for mask in (first, second)]
    assert height_of[0] < height_of[1] - 100  # (1, 1) lies above (-1, -1)


def test_scatter_survives_stray_and_infinite_points():
    points = np.random.default_rng(0).normal(size=(2000, 2))
    whole = coloured(plots.scatter({"x": points}), plots.COLOURS[0]).sum()
    points[0], points[1] = np.nan, 1e9
    image = plots.scatter({"$\\frac{": points})  # a name is no mathematics
    assert coloured(image, plots.COLOURS[0]).sum() > 0.9 * whole  # the cloud still fills it
    assert plots.scatter({"none": np.full((3, 2), np.nan)}).dtype == np.uint8


@pytest.mark.parametrize(
    "shape", [(), (1,), (2,), (3,), (8,), (200,), (8, 8), (8, 8, 1), (8, 8, 3)]
)
@pytest.mark.parametrize("beside", [False, True])
def test_show_draws_every_kind_of_example(shape, beside):
    x = np.random.default_rng(0).random((7, *shape))
    alone = images.show(x)
    result = images.show(x, x[:4]) if beside else alone
    assert result.dtype == np.uint8
    assert result.shape[-1] == 3
    assert np.ptp(result) > 50
    assert not beside or result.shape[1] > alone.shape[1]
    np.testing.assert_array_equal(alone, images.show(x))


def test_show_of_images_is_a_grid():
    np.testing.assert_array_equal(images.show(batch(7), columns=3), images.grid(batch(7), 3))
    np.testing.assert_array_equal(images.show(batch(7)[..., 0]), images.grid(batch(7)))


@pytest.mark.parametrize("shape", [(), (0, 8, 8, 1), (3, 8, 8, 2), (2, 2, 2, 2, 2)])
def test_show_refuses_what_it_cannot_draw(shape):
    with pytest.raises(ValueError, match=r"shape|must be"):
        images.show(np.zeros(shape))


def test_a_saved_picture_is_read_back_and_leaves_nothing_beside_it(tmp_path):
    image = images.grid(batch(3, channels=3))
    path = tmp_path / "samples" / "step_00001000.png"
    for _ in range(2):  # new, then over an old one
        images.save_png(path, image)
        np.testing.assert_array_equal(np.asarray(Image.open(path)), image)
        assert os.listdir(path.parent) == [path.name]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(images.png(image)))), image)


def test_unwritable_path_is_a_storage_error_that_names_it(tmp_path):
    image = images.grid(batch(1))
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "file" / "x.png", tmp_path / "folder.png"):
        with pytest.raises(StorageError, match=path.name):
            images.save_png(path, image)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.png"]


def test_full_disk_keeps_the_old_picture(tmp_path, monkeypatch):
    path, old, new = tmp_path / "x.png", images.grid(batch(1)), images.grid(batch(2))
    images.save_png(path, old)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match=r"x\.png: No space left on device"):
        images.save_png(path, new)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), old)
    assert os.listdir(tmp_path) == ["x.png"]


@pytest.mark.parametrize("side", [8, 60])
def test_names_stand_beside_their_rows(side):
    """The picture itself is unchanged; there is ink to the left of every row but the nameless."""
    x = np.random.default_rng(0).random((6, side, side, 1))
    names = ("cat", "", "caf\udce9 \u65e5 and so on without an end")
    plain = images.grid(x, 2)
    named = images.show(x, columns=2, row_names=names)
    margin = named.shape[1] - plain.shape[1]
    np.testing.assert_array_equal(named[:, margin:], plain)
    height = len(plain) // 3
    ink = [(named[i * height : (i + 1) * height, :margin] < 100).any() for i in range(3)]
    assert ink == [True, False, True]
    assert margin < 400
    both = images.show(x, x, columns=2, row_names=names)
    assert both.shape[1] > margin + 2 * plain.shape[1]


def test_rows_have_the_names_of_the_classes_where_each_has_one():
    x = np.zeros((6, 8, 8, 1))
    form = {"transform": "unit", "levels": 256}
    plain = gallery.picture(x, form, columns=3)
    named = gallery.picture(x, form | {"class_names": ["a", "b"]}, columns=3)
    assert named.shape[1] > plain.shape[1]
    for names in (["a", "b", "c"], [], "ab", None):  # of another number, or no names
        again = gallery.picture(x, form | {"class_names": names}, columns=3)
        np.testing.assert_array_equal(again, plain)

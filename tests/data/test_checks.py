"""Every bad example is named: data set, split, index, field, got and expected, in three lines."""

import numpy as np
import pytest

from jaxgen.data.checks import check_examples
from jaxgen.errors import DataError

BYTES = np.zeros((6, 2, 2, 1), np.uint8)
FLOATS = np.zeros((6, 3), np.float32)
LABELS = np.zeros(6, np.int32)


def put(array, index, value):
    array = array.copy()
    array.reshape(len(array), -1)[index, -1] = value
    return array


CASES = {
    "empty": ({"image": BYTES[:0]}, 17, ["empty"]),
    "object": ({"image": BYTES.astype(object)}, 17, ["'image'", "object", "uint8"]),
    "complex": ({"image": FLOATS.astype(complex)}, None, ["'image'", "complex128", "float32"]),
    "float for bytes": ({"image": BYTES / 2}, 17, ["'image'", "float64", "uint8"]),
    "bytes for float": ({"image": BYTES}, None, ["'image'", "uint8", "float32"]),
    "rank": ({"image": BYTES[..., 0]}, 17, ["'image'", "(2, 2)", "(height, width, channels)"]),
    "scalar": ({"image": BYTES[:, 0, 0, 0]}, 17, ["'image'", "()", "(dim,)"]),
    "no pixels": ({"image": BYTES[:, :0]}, 17, ["'image'", "(0, 2, 1)"]),
    "level": ({"image": put(BYTES, 4, 17)}, 17, ["index 4", "'image'", "got 17", "0..16"]),
    "nan": ({"image": put(FLOATS, 2, np.nan)}, None, ["index 2", "'image'", "nan", "finite"]),
    "inf": ({"image": put(FLOATS, 5, -np.inf)}, None, ["index 5", "'image'", "-inf", "finite"]),
    "negative label": (
        {"image": BYTES, "label": put(LABELS, 3, -2)},
        17,
        ["index 3", "'label'", "got -2", "0..9, or -1"],
    ),
    "large label": (
        {"image": BYTES, "label": put(LABELS, 1, 10)},
        17,
        ["index 1", "'label'", "got 10", "0..9"],
    ),
    "float label": ({"image": BYTES, "label": LABELS / 1}, 17, ["'label'", "float64", "integers"]),
    "label count": ({"image": BYTES, "label": LABELS[:5]}, 17, ["'label'", "(5,)", "(6,)"]),
}


@pytest.mark.parametrize("case", list(CASES))
def test_a_bad_example_is_named(case):
    arrays, levels, words = CASES[case]
    with pytest.raises(DataError) as caught:
        check_examples(arrays, name="mine", split="test", levels=levels, num_classes=10)
    message = str(caught.value)
    for word in ("mine", "'test'", *words):
        assert word in message
    assert len(message.splitlines()) <= 3


def test_the_first_bad_one_is_named_by_its_index_in_the_split():
    images = put(put(BYTES, 5, 99), 3, 40)
    with pytest.raises(DataError, match=r"index 103, field 'image': got 40"):
        check_examples(
            {"image": images}, name="x", split="train", levels=17, indices=np.arange(100, 106)
        )


@pytest.mark.parametrize(
    ("image", "levels"), [(put(BYTES, 0, 16), 17), (put(BYTES, 0, 255), 256), (FLOATS, None)]
)
def test_good_examples_pass(image, levels):
    labels = put(LABELS, 0, 9)
    check_examples(
        {"image": image, "label": labels}, name="x", split="train", levels=levels, num_classes=10
    )

"""Records of data of before an entry was there agree with those that have it; others differ."""

import pytest

from jaxgen.runs.compare import is_same_data

OLD = {"name": "/x", "splits": {"train": {"num": 3, "sha256": "a"}}}
NEW = {**OLD, "class_names": ["cat", "dog"]}


def test_a_record_without_names_agrees_with_one_that_has_them():
    assert is_same_data(OLD, NEW)
    assert is_same_data({"earlier_stages": [OLD]}, {"earlier_stages": [NEW]})
    assert is_same_data({**OLD, "other": OLD}, {**NEW, "other": NEW})


@pytest.mark.parametrize(
    "new",
    [
        {**NEW, "name": "/y"},
        {**NEW, "levels": 17},
        {"name": "/x", "splits": {"train": {"num": 3, "sha256": "b"}}},
        {"name": "/x"},
        {**OLD, "earlier_stages": [OLD]},
    ],
)
def test_other_differences_are_seen(new):
    assert not is_same_data(OLD, new)
    assert not is_same_data(new, OLD)


def test_names_that_changed_are_seen_and_those_that_went():
    assert not is_same_data(NEW, {**NEW, "class_names": ["dog", "cat"]})
    assert not is_same_data(NEW, OLD)

"""Real trainings, and what they would have come to if nothing had happened to them."""

import pytest
from nursery import Nursery


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="module")
def whole(nursery, tmp_path_factory, tfds_dir):
    """(model, flags) -> the folder of a run that nothing happened to."""
    made = {}

    def run(model, flags=None):
        key = (model, str(flags))
        if key not in made:
            made[key] = tmp_path_factory.mktemp(model) / "whole"
            assert nursery.run(model, made[key], tfds_dir, flags=flags or {}) == 0
        return made[key]

    return run

"""Real trainings, what they would have come to if nothing had happened to them, and small disks."""

import subprocess

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


@pytest.fixture
def disk(tmp_path):
    """Makes a disk of so many KiB; skips where that is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()

    def make(kib):
        line = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)]
        if subprocess.run(line, capture_output=True, check=False).returncode:
            pytest.skip("a disk of a given size needs the right to mount one")
        return place

    yield make
    subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)

"""Whatever happens to a file of the newest checkpoint: it is read right, or passed over."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from runs.test_checkpoint import restore, save, state_at
from tiny_runs import assert_same

FLIPS, ALL = 40, 300
# TensorStore's pending reads, after one of them met the damage
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Steps 1 and 2."""
    folder = tmp_path_factory.mktemp("saved")
    for step in (1, 2):
        save(folder, state_at(step))
    return folder


def delete(path, other):
    path.unlink()


def empty(path, other):
    path.write_bytes(b"")


def halve(path, other):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path, other):
    content = bytearray(path.read_bytes() or b"\0")
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def swap(path, other):
    if other.exists():
        shutil.copy(other, path)
    else:  # of step 1 no file has this name: any of its files
        shutil.copy(next(p for p in other.parents[1].rglob("*") if p.is_file()), path)


def files(folder):
    return sorted(p.relative_to(folder) for p in (folder / "2").rglob("*") if p.is_file())


def require_right_or_one_line(folder):
    """The state of step 2 without a word, or that of step 1 with one line; whether it fell back."""
    state, said = restore(folder)
    assert len(said) <= 1
    assert all("\n" not in line and line.startswith(f"{folder}/2") for line in said)
    assert_same(state, state_at(1 if said else 2))
    return bool(said)


@pytest.mark.parametrize("damage", [delete, empty, halve, flip, swap])
def test_every_file_in_five_ways(damage, saved, tmp_path):
    fell_back = []
    for number, name in enumerate(files(saved)):
        folder = shutil.copytree(saved, tmp_path / str(number))
        damage(folder / name, folder / Path("1", *name.parts[1:]))
        fell_back.append(require_right_or_one_line(folder))
        shutil.rmtree(folder)
    assert any(fell_back)


@pytest.mark.parametrize("num", [FLIPS, pytest.param(ALL, marks=pytest.mark.chaos)])
def test_random_flips(num, saved, tmp_path):
    dice, names, fell_back = np.random.default_rng(num), files(saved), 0
    for number in range(num):
        folder = shutil.copytree(saved, tmp_path / str(number))
        path = folder / names[dice.integers(len(names))]
        content = bytearray(path.read_bytes())
        if content:
            content[dice.integers(len(content))] ^= 1 << int(dice.integers(8))
            path.write_bytes(content)
        fell_back += require_right_or_one_line(folder)
        shutil.rmtree(folder)
    assert fell_back > num // 4

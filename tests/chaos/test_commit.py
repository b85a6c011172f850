"""A commit is many changes of files: whichever one a process dies before, no state is lost."""

import signal

import pytest
from tiny_runs import assert_same, best, metrics, restored, temporary

import jaxgen

FLAGS = {"steps": 25}  # saves at 5, 10, 15, 20, 25
SAVE = 4
FAST = 2  # of the changes, with every `make test`


@pytest.fixture(scope="module")
def changes(nursery, tmp_path_factory, tfds_dir):
    """What is done to files from the beginning of a save to that of the next."""
    folder = tmp_path_factory.mktemp("changes")
    assert run(nursery, folder, tfds_dir, 0) == 0
    return (folder / "tally").read_text().splitlines()


def run(nursery, place, tfds_dir, change):
    """Dies before that change; the exit code."""
    mortal = {"folder": str(place), "save": SAVE, "change": change, "tally": str(place / "tally")}
    return nursery.run("vae", place / "run", tfds_dir, flags=FLAGS, mortal=mortal)


@pytest.mark.parametrize("fast", [True, pytest.param(False, marks=pytest.mark.chaos)])
def test_no_moment_of_a_commit_loses_a_state(
    fast, nursery, whole, changes, tmp_path, tfds_dir, record_property
):
    reference = whole("vae", FLAGS)
    experiment, num = jaxgen.load(reference).experiment, len(changes)
    numbers = [num * n // FAST for n in range(1, FAST + 1)] if fast else range(1, num + 1)
    record_property("kills", len(numbers))
    for number in numbers:
        place = tmp_path / str(number)
        place.mkdir()
        folder, before = place / "run", changes[number - 1]
        assert run(nursery, place, tfds_dir, number) == -signal.SIGKILL, before
        assert restored(experiment, folder).step in (15, 20, 25), before
        assert nursery.run("vae", folder, tfds_dir, flags=FLAGS) == 0, before
        assert_same(restored(experiment, folder), restored(experiment, reference))
        assert metrics(folder) == metrics(reference), before
        assert best(folder) == best(reference), before
        assert [path for path in temporary(folder) if path.is_dir()] == [], before


def test_the_changes_are_those_of_a_commit(changes):
    said = "\n".join(changes)
    assert "os.rename" in said
    assert "orbax-checkpoint-tmp" in said
    assert "STATUS.json" in said

"""A disk that fills up: training goes on as long as it can, and what was saved stays."""

import os
import shutil
import time
from contextlib import suppress

import pytest
from nursery import COMMON
from tiny_runs import assert_same, metrics, restored

import jaxgen

SIZES = (16, 64, 128, 192, 256, 320, 400, 500, 700, 1000)  # KiB; the run takes some 900
FAST = (16, 256, 500)
FLAGS = {"sample-every": 120}


@pytest.fixture(scope="module")
def undisturbed(whole):
    return whole("vae", FLAGS)


@pytest.mark.parametrize(
    "kib", [pytest.param(k, marks=[] if k in FAST else [pytest.mark.chaos]) for k in SIZES]
)
def test_a_small_disk_ends_a_run_by_6_or_not_at_all(
    kib, nursery, undisturbed, disk, tmp_path, tfds_dir
):
    folder = disk(kib) / "run"
    code = nursery.run("vae", folder, tfds_dir, log=str(tmp_path / "log"), flags=FLAGS)
    said = (tmp_path / "log").read_text()
    assert code in {min(SIZES): (6,), max(SIZES): (0,)}.get(kib, (0, 6)), said
    assert "Traceback" not in said
    assert [path for path in folder.rglob("*") if "tmp" in path.name and path.is_dir()] == []
    if code == 6:
        error = said[said.index("error: ") :].strip()
        assert str(folder) in error
        assert len(error.splitlines()) <= 3, said
    experiment = jaxgen.load(undisturbed).experiment
    steps = [p.name for p in (folder / "checkpoints").glob("*") if p.name.isdigit()]
    if steps:  # whatever was committed is whole
        assert int(restored(experiment, folder).step) == max(map(int, steps))
    if code == 0:
        assert_same(restored(experiment, folder), restored(experiment, undisturbed))


@pytest.mark.chaos
def test_training_outlives_saves_that_fail(nursery, undisturbed, disk, tmp_path, tfds_dir):
    """The disk is full for a third of the run: what could not be written then is not missed."""
    folder, log = disk(4000) / "run", tmp_path / "log"
    ballast = folder.parent / "ballast"
    pid = nursery.start("vae", folder, tfds_dir, log=str(log), flags=FLAGS | {"steps": 800})
    try:
        wait_for(log, "step 100/")
        end = time.monotonic() + 120
        while not failed(log):
            assert time.monotonic() < end
            fill(ballast)  # again and again: old checkpoints go and make room
    finally:
        ballast.unlink(missing_ok=True)
    assert nursery.wait() == 0, log.read_text()[-500:]
    assert pid
    assert all(str(folder) in line and "training goes on" in line for line in failed(log))
    steps = [line["step"] for line in metrics(folder) if line["split"] == "train"]
    assert steps == list(range(5, 801, 5))  # every line is there in the end
    assert restored(jaxgen.load(undisturbed).experiment, folder).step == 800


def failed(log):
    """What was said of saves that failed."""
    return [line for line in log.read_text().splitlines() if "bytes needed" in line]


def fill(path):
    """Takes all that is free."""
    with suppress(OSError), path.open("ab") as file:
        while True:
            file.write(b"0" * 4096)
            file.flush()


def wait_for(log, words):
    end = time.monotonic() + 60
    while not log.exists() or words not in log.read_text():
        assert time.monotonic() < end, log.read_text()[-500:]
        time.sleep(0.01)


def test_the_sizes_are_around_what_a_run_takes(undisturbed):
    used = sum(path.stat().st_blocks * 512 for path in undisturbed.rglob("*"))
    assert min(SIZES) * 1024 < used < 2 * max(SIZES) * 1024
    assert COMMON["steps"] == 120
    assert shutil.disk_usage(undisturbed).free > used
    assert os.path.exists(undisturbed)

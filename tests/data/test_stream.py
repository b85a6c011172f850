"""The background stream: the same batches as without it, and a thread that ends when told to."""

import itertools
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from jaxgen.data import Data, Split, load, stream
from jaxgen.errors import DataError


def every(num_steps, start=0):
    """Plan of equal items without end."""
    return ((step, num_steps) for step in itertools.count(start, num_steps))


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("stream-")]


@pytest.mark.parametrize("start", [0, 17])
@pytest.mark.parametrize("num_steps", [1, 3])
def test_stream_is_the_batches_step_by_step_from_any_step(digits, start, num_steps):
    split = digits.splits["train"]
    items = stream(split, 5, 700, every(num_steps, start))
    for k in range(3):
        item = next(items)
        assert item["image"].shape == (num_steps, 700, 8, 8, 1)
        for i in range(num_steps):
            batch = split.batch(5, start + k * num_steps + i, 700)
            for field in ("image", "label"):
                np.testing.assert_array_equal(item[field][i], batch[field])
    items.close()


def test_items_follow_the_plan_and_end_with_it(digits):
    split, plan = digits.splits["validation"], [(0, 2), (2, 5), (7, 1)]
    for (start, num_steps), item in zip(plan, stream(split, 1, 60, plan), strict=True):
        expected = split.batches(1, start, num_steps, 60)
        np.testing.assert_array_equal(item["image"], expected["image"])
    assert threads() == []
    assert list(stream(split, 1, 60, [])) == []


def test_stream_of_generated_examples_is_their_batches():
    split = load(Data(name="chain")).splits["train"]
    items = stream(split, 0, 10, every(1, 4))
    for step in (4, 5):
        np.testing.assert_array_equal(next(items)["image"][0], split.batch(0, step, 10)["image"])
    items.close()


@pytest.mark.parametrize("prefetch", [1, 4])
def test_close_ends_the_thread_that_waits_for_room(prefetch):
    made = []
    split = counting(made)
    items = stream(split, 0, 2, every(1), prefetch=prefetch)
    next(items)
    deadline = time.monotonic() + 5
    while len(made) < prefetch + 1 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    assert len(made) == prefetch + 1  # one taken, `prefetch` ready, and no more
    assert len(threads()) == 1
    began = time.monotonic()
    items.close()
    assert threads() == []
    assert time.monotonic() - began < 2


def test_a_forgotten_stream_ends_with_its_last_reference():
    items = stream(counting([]), 0, 2, every(1))
    next(items)
    del items
    assert threads() == []


def test_an_error_of_the_thread_reaches_the_consumer_in_its_place():
    items = stream(counting([], fail_at=2), 0, 2, every(1))
    next(items)
    next(items)
    with pytest.raises(DataError, match="broken at step 2"):
        next(items)
    assert threads() == []


def test_an_open_stream_does_not_hold_up_the_end_of_a_process():
    program = (
        "from jaxgen.data import Data, load, stream\n"
        "items = stream(load(Data(name='chain')).splits['train'], 0, 2, [(0, 1)] * 9)\n"
        "next(items)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def counting(made, fail_at=None):
    """Generated split that notes each batch it makes."""

    def draw(generator, num):
        if len(made) == fail_at:
            raise DataError(f"broken at step {len(made)}")
        made.append(num)
        return {"image": generator.random((num, 3), np.float32)}

    return Split("train", None, "0" * 64, draw=draw)

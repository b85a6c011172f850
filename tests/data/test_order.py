"""The order of the examples: complete epochs, whatever the sizes, from (seed, step) alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxgen.data import batch_indices, chunk_indices

sizes = st.integers(1, 40)
seeds = st.integers(0, 2**31 - 1)


@settings(deadline=None, max_examples=200)
@given(num=sizes, batch_size=st.integers(1, 90), seed=seeds, epochs=st.integers(1, 4))
def test_every_epoch_holds_every_example_exactly_once(num, batch_size, seed, epochs):
    steps = -(-epochs * num // batch_size)
    order = np.concatenate([batch_indices(seed, t, batch_size, num) for t in range(steps)])
    for epoch in order[: epochs * num].reshape(epochs, num):
        assert sorted(epoch) == list(range(num))


@settings(deadline=None, max_examples=200)
@given(
    num=sizes, batch_size=sizes, seed=seeds, start=st.integers(0, 50), num_steps=st.integers(1, 7)
)
def test_a_chunk_is_its_batches(num, batch_size, seed, start, num_steps):
    chunk = chunk_indices(seed, start, num_steps, batch_size, num)
    assert chunk.shape == (num_steps, batch_size)
    assert chunk.dtype == np.int32
    for i in range(num_steps):
        np.testing.assert_array_equal(chunk[i], batch_indices(seed, start + i, batch_size, num))


def test_order_depends_on_seed_and_epoch():
    first = batch_indices(0, 0, 100, 100)
    assert not np.array_equal(first, batch_indices(1, 0, 100, 100))
    assert not np.array_equal(first, batch_indices(0, 1, 100, 100))
    assert not np.array_equal(first, np.arange(100))


def test_order_is_pinned_so_that_old_runs_resume_on_the_same_examples():
    assert batch_indices(7, 3, 6, 10).tolist() == [2, 5, 1, 5, 3, 4]


def test_a_late_step_costs_no_more_than_an_early_one():
    assert batch_indices(0, 2**40, 64, 1000).shape == (64,)

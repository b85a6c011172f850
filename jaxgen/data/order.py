"""The order of the examples, as a pure function of (seed, step).

Step t takes the positions t * batch_size ... (t + 1) * batch_size - 1 of an endless row of epochs,
each epoch a fresh permutation. No iterator has a state, so a run resumes at any step by its number.
"""

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=4)
def permutation(
    seed: int,
    epoch: int,
    num: int,
) -> np.ndarray:
    """Return the order of one epoch: int32 [num], read-only because it is shared by the cache."""
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(num).astype(np.int32)
    order.flags.writeable = False
    return order


def chunk_indices(
    seed: int,
    start: int,
    num_steps: int,
    batch_size: int,
    num: int,
) -> np.ndarray:
    """Return the indices of the batches of steps start ... start + num_steps - 1.

    Returns:
      int32 [num_steps, batch_size], each in 0..num-1. A batch may span epochs, and may be larger
      than one; still each epoch holds every example exactly once.
    """
    # Positions first .. stop - 1 of the endless row; epoch e begins at position e * num.
    first = start * batch_size
    stop = (start + num_steps) * batch_size
    last_epoch = (stop - 1) // num
    pieces = []
    for epoch in range(first // num, last_epoch + 1):
        begin = max(first - epoch * num, 0)
        end = stop - epoch * num
        pieces.append(permutation(seed, epoch, num)[begin:end])
    return np.concatenate(pieces).reshape(num_steps, batch_size)


def batch_indices(
    seed: int,
    step: int,
    batch_size: int,
    num: int,
) -> np.ndarray:
    """Return the indices of the batch of one step: int32 [batch_size], each in 0..num-1."""
    return chunk_indices(seed, step, 1, batch_size, num)[0]

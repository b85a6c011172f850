"""The order of the examples, as a pure function of (seed, step).

Step t takes the positions t * batch_size ... (t + 1) * batch_size - 1 of an endless row of epochs,
each epoch a fresh permutation. No iterator has a state, so a run resumes at any step by its number.
"""

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, num: int) -> np.ndarray:
    """Order of one epoch: int32 [num], read-only because it is shared through the cache."""
    order = np.random.default_rng([seed, epoch]).permutation(num).astype(np.int32)
    order.flags.writeable = False
    return order


def chunk_indices(seed: int, start: int, num_steps: int, batch_size: int, num: int) -> np.ndarray:
    """Indices of the batches of steps start ... start + num_steps - 1.

    Returns:
      int32 [num_steps, batch_size], each in 0..num-1. A batch may span epochs, and may be larger
      than one; still each epoch holds every example exactly once.
    """
    first, stop = start * batch_size, (start + num_steps) * batch_size
    epochs = range(first // num, -(-stop // num))
    pieces = [permutation(seed, e, num)[max(first - e * num, 0) : stop - e * num] for e in epochs]
    return np.concatenate(pieces).reshape(num_steps, batch_size)


def batch_indices(seed: int, step: int, batch_size: int, num: int) -> np.ndarray:
    """Indices of the batch of one step: int32 [batch_size], each in 0..num-1."""
    return chunk_indices(seed, step, 1, batch_size, num)[0]

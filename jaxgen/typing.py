"""What a function takes for an array: one on the device, or one of NumPy on its way there."""

import jax
import numpy as np

Array = jax.Array | np.ndarray

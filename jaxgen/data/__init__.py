"""Data: a name and a few flags become three splits, each batch a pure function of (seed, step).

A loop needs three lines:

    data = load(Data(name="digits"))
    batch = data.splits["train"].batch(seed=0, step=0, batch_size=100)
    batch = data.prepare(batch, key)        # inside the jitted step: 'image' float32 [100, 8, 8, 1]
"""

from jaxgen.data.config import Data, Transform
from jaxgen.data.dataset import Dataset
from jaxgen.data.load import load, resolved
from jaxgen.data.order import batch_indices, chunk_indices
from jaxgen.data.split import Split
from jaxgen.data.stream import stream
from jaxgen.data.transform import apply_transform, bits_offset, display

__all__ = [
    "Data",
    "Dataset",
    "Split",
    "Transform",
    "apply_transform",
    "batch_indices",
    "bits_offset",
    "chunk_indices",
    "display",
    "load",
    "resolved",
    "stream",
]

"""The autoregressive models that `benchmarks` times, by name, with their sizes."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from jaxgen.autoregressive import (
    gated_pixel_cnn,
    made,
    nade,
    pixel_cnn,
    pixel_cnn_pp,
    pixel_rnn,
    rnade,
    wavenet,
)

BUILDERS: Mapping[str, Callable[..., Any]] = {
    "nade": nade.NADE,
    "nade_relu": partial(nade.NADE, activation="relu"),
    "pixel_cnn": pixel_cnn.build,
    "gated_pixel_cnn": gated_pixel_cnn.build,
    "row_lstm": pixel_rnn.row_lstm,
    "diagonal_bilstm": pixel_rnn.diagonal_bilstm,
    "pixel_cnn_pp": pixel_cnn_pp.build,
    "wavenet": wavenet.build,
    "made": made.MADE,
    "rnade": rnade.RNADE,
}
SIZES: Mapping[str, dict[str, Any]] = {
    "nade": {"hidden": 500},
    "nade_relu": {"hidden": 500},
    "pixel_cnn": {"num_layers": 15, "features": 32},
    "gated_pixel_cnn": {"num_layers": 7, "features": 64, "kernel_size": 3},
    "row_lstm": {"num_layers": 7, "features": 16},
    "diagonal_bilstm": {"num_layers": 7, "features": 16},
    "pixel_cnn_pp": {"features": 32, "num_blocks": 2, "num_stages": 2, "num_components": 5},
    "wavenet": {"num_layers": 8, "num_blocks": 2, "features": 32, "skip": 64},
    "made": {"hidden": (500,)},
    "rnade": {"hidden": 50},
}
TINY: Mapping[str, dict[str, Any]] = {  # to see that all runs
    "nade": {"hidden": 3},
    "nade_relu": {"hidden": 3},
    "pixel_cnn": {"num_layers": 1, "features": 2, "head": 2},
    "gated_pixel_cnn": {"num_layers": 1, "features": 2},
    "row_lstm": {"num_layers": 1, "features": 2, "head": 2},
    "diagonal_bilstm": {"num_layers": 1, "features": 2, "head": 2},
    "pixel_cnn_pp": {"features": 2, "num_blocks": 1, "num_stages": 1, "num_components": 1},
    "wavenet": {"levels": 2, "num_layers": 2, "num_blocks": 1, "features": 2, "skip": 2},
    "made": {"hidden": (3,)},
    "rnade": {"hidden": 2},
}
TITLES: Mapping[str, str] = {
    "nade": "NADE",
    "nade_relu": "NADE, rectified",
    "pixel_cnn": "PixelCNN",
    "gated_pixel_cnn": "Gated PixelCNN",
    "row_lstm": "Row LSTM",
    "diagonal_bilstm": "Diagonal BiLSTM",
    "pixel_cnn_pp": "PixelCNN++",
    "wavenet": "WaveNet",
    "made": "MADE",
    "rnade": "RNADE",
}


def build(
    name: str,
    shape: tuple[int, ...],
    sizes: Mapping[str, Any],
) -> Any:
    """Return the model of that name on examples of that shape; WaveNet's are sequences as long."""
    given = {key: tuple(x) if isinstance(x, list) else x for key, x in sizes.items()}
    return BUILDERS[name]((math.prod(shape),) if name == "wavenet" else tuple(shape), **given)

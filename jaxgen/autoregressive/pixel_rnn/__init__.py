"""PixelRNN, in files.

model.py          the model
network.py        its network: a masked convolution, the layers, the head
row_lstm.py       one kind of layer, diagonal_bilstm.py the other
sampler.py        sampling on kept states
multi_scale.py    a small image first, then the large one around it
"""

from jaxgen.autoregressive.pixel_rnn.diagonal_bilstm import DiagonalBiLSTM
from jaxgen.autoregressive.pixel_rnn.model import PixelRNN, build, diagonal_bilstm, row_lstm
from jaxgen.autoregressive.pixel_rnn.multi_scale import MultiScale
from jaxgen.autoregressive.pixel_rnn.network import PixelRNNNetwork
from jaxgen.autoregressive.pixel_rnn.row_lstm import RowLSTM

__all__ = [
    "DiagonalBiLSTM",
    "MultiScale",
    "PixelRNN",
    "PixelRNNNetwork",
    "RowLSTM",
    "build",
    "diagonal_bilstm",
    "row_lstm",
]

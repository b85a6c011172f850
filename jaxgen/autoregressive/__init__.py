"""Autoregressive models: one algorithm a file, all of them instances of the chain rule (`base`)."""

# A reader's order: base and ordering, then fvbn, nade and made, which are one idea at three prices.
from jaxgen.autoregressive.ensemble import Ensemble
from jaxgen.autoregressive.fvbn import FVBN
from jaxgen.autoregressive.gated_pixel_cnn.model import GatedPixelCNN
from jaxgen.autoregressive.gated_pixel_cnn.stacks import GatedStacks
from jaxgen.autoregressive.made import MADE
from jaxgen.autoregressive.nade import NADE
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.autoregressive.orderless_nade import OrderlessNADE
from jaxgen.autoregressive.pixel_cnn.masked_resnet import MaskedResNet
from jaxgen.autoregressive.pixel_cnn.model import PixelCNN
from jaxgen.autoregressive.pixel_cnn_pp.layers import ShiftedResNet
from jaxgen.autoregressive.pixel_cnn_pp.model import PixelCNNPP
from jaxgen.autoregressive.pixel_rnn.diagonal_bilstm import DiagonalBiLSTM
from jaxgen.autoregressive.pixel_rnn.model import PixelRNN
from jaxgen.autoregressive.pixel_rnn.multi_scale import MultiScale
from jaxgen.autoregressive.pixel_rnn.network import PixelRNNNetwork
from jaxgen.autoregressive.pixel_rnn.row_lstm import RowLSTM
from jaxgen.autoregressive.rnade import RNADE
from jaxgen.autoregressive.tabular import JointTable, MarkovChain
from jaxgen.autoregressive.wavenet.dilated import DilatedStack
from jaxgen.autoregressive.wavenet.model import WaveNet
from jaxgen.distributions.logistic_mixture import MixtureOfLogistics

__all__ = [
    "FVBN",
    "MADE",
    "NADE",
    "RNADE",
    "DiagonalBiLSTM",
    "DilatedStack",
    "Ensemble",
    "GatedPixelCNN",
    "GatedStacks",
    "JointTable",
    "MarkovChain",
    "MaskedResNet",
    "MixtureOfLogistics",
    "MultiScale",
    "Ordering",
    "OrderlessNADE",
    "PixelCNN",
    "PixelCNNPP",
    "PixelRNN",
    "PixelRNNNetwork",
    "RowLSTM",
    "ShiftedResNet",
    "WaveNet",
]

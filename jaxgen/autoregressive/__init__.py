"""Autoregressive models: one algorithm a file, all of them instances of `chain_rule`."""

from jaxgen.autoregressive.diagonal_bilstm import DiagonalBiLSTM
from jaxgen.autoregressive.dilated import DilatedStack
from jaxgen.autoregressive.ensemble import Ensemble
from jaxgen.autoregressive.fvbn import FVBN
from jaxgen.autoregressive.gated_pixel_cnn import GatedPixelCNN
from jaxgen.autoregressive.gated_stacks import GatedStacks
from jaxgen.autoregressive.logistic_mixture import MixtureOfLogistics
from jaxgen.autoregressive.made import MADE
from jaxgen.autoregressive.masked_resnet import MaskedResNet
from jaxgen.autoregressive.multi_scale import MultiScale
from jaxgen.autoregressive.nade import NADE
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.autoregressive.orderless_nade import OrderlessNADE
from jaxgen.autoregressive.pixel_cnn import PixelCNN
from jaxgen.autoregressive.pixel_cnn_pp import PixelCNNPP
from jaxgen.autoregressive.pixel_cnn_pp_layers import ShiftedResNet
from jaxgen.autoregressive.pixel_rnn import PixelRNN
from jaxgen.autoregressive.pixel_rnn_network import PixelRNNNetwork
from jaxgen.autoregressive.rnade import RNADE
from jaxgen.autoregressive.row_lstm import RowLSTM
from jaxgen.autoregressive.tabular import JointTable, MarkovChain
from jaxgen.autoregressive.wavenet import WaveNet

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

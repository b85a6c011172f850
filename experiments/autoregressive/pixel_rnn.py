"""PixelRNN (van den Oord, Kalchbrenner and Kavukcuoglu, 2016)."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import tyro

from jaxgen.__main__ import train
from jaxgen.autoregressive import PixelRNN, pixel_rnn
from jaxgen.data import Data, load
from jaxgen.distributions.observation import Bernoulli, Categorical
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer

_ADAM = Optimizer(learning_rate=3e-3, schedule="cosine", weight_decay=0.1)


@dataclass(frozen=True)
class Network:
    """Sizes of the network."""

    num_layers: int = 2
    """Recurrent layers."""
    features: int = 32
    """h of a layer; 2h between layers."""
    head: int = 32
    """Maps of the 1x1 convolutions."""
    kernel_size: int = 7
    """Side of the first convolution, odd."""
    coordinates: bool = True
    """The layers see the row and the column of a pixel."""


NetworkFlags = Annotated[Network, tyro.conf.arg(name="")]  # flags without a prefix


def row_lstm_digits(
    *,
    settings: CommonFlags = Settings(steps=600, batch_size=64, ema_decay=0.99),
    data: Data = Data(),
    optimizer: Optimizer = _ADAM,
    network: NetworkFlags = Network(),
) -> Experiment:
    """Train residual Row LSTMs.

    A 7x7 masked convolution, residual Row LSTMs and masked 1x1 convolutions on the 8x8 digits,
    binarised at >= 8.

        jaxgen train row_lstm_digits
        jaxgen evaluate runs/row_lstm_digits

    1.3 minutes on 2 cores of an AMD EPYC (Zen 3), no GPU, shared with other work, 2026-11-25. Test
    (360 images), mean ± standard deviation over seeds 0, 1, 2: 16.85 ± 0.04 nats. Settings were
    chosen on the validation split.

    Args:
      settings: the flags every recipe has.
      data: which data, and in which form.
      optimizer: of the one player.
      network: sizes of the network.
    """
    return _experiment(pixel_rnn.row_lstm, settings, data, optimizer, network)


def diagonal_bilstm_digits(
    *,
    settings: CommonFlags = Settings(steps=600, batch_size=64, ema_decay=0.99),
    data: Data = Data(),
    optimizer: Optimizer = _ADAM,
    network: NetworkFlags = Network(),
) -> Experiment:
    """Train residual Diagonal BiLSTMs.

    A 7x7 masked convolution, residual Diagonal BiLSTMs and masked 1x1 convolutions on the 8x8
    digits, binarised at >= 8.

        jaxgen train diagonal_bilstm_digits
        jaxgen evaluate runs/diagonal_bilstm_digits

    3 minutes on 2 cores of an AMD EPYC (Zen 3), no GPU, shared with other work, 2026-11-25. Test
    (360 images), mean ± standard deviation over seeds 0, 1, 2: 16.70 ± 0.01 nats. Settings were
    chosen on the validation split.

    Args:
      settings: the flags every recipe has.
      data: which data, and in which form.
      optimizer: of the one player.
      network: sizes of the network.
    """
    return _experiment(pixel_rnn.diagonal_bilstm, settings, data, optimizer, network)


def _experiment(
    build: Callable[..., PixelRNN],
    settings: Settings,
    data: Data,
    optimizer: Optimizer,
    network: Network,
) -> Experiment:
    dataset = load(data)
    values = dataset.values or 2
    model = build(
        dataset.shape,
        observation=Categorical(values) if values > 2 else Bernoulli(),
        num_layers=network.num_layers,
        features=network.features,
        head=network.head,
        kernel_size=network.kernel_size,
        coordinates=network.coordinates,
        dtype=settings.precision,
    )
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(train())

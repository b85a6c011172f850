"""Orderless NADE (Uria, Murray and Larochelle, 2014)."""

import sys

from jaxgen.__main__ import train
from jaxgen.autoregressive import orderless_nade
from jaxgen.autoregressive.ensemble import several
from jaxgen.autoregressive.ordering import Ordering
from jaxgen.data import Data, load
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer


def orderless_nade_digits(
    *,
    settings: CommonFlags = Settings(steps=15_000, batch_size=128, ema_decay=0.999),
    data: Data = Data(),
    optimizer: Optimizer = Optimizer(learning_rate=1e-3, schedule="cosine", weight_decay=0.1),
    hidden: tuple[int, ...] = (500, 500),
    num_orders: int = 16,
    ordering: Ordering = Ordering(),
) -> Experiment:
    """Train one network for all orders.

    The 8x8 digits are binarised at >= 8; the network is evaluated as a mixture of orders.

        jaxgen train orderless_nade_digits
        jaxgen evaluate runs/orderless_nade_digits

    6.7 minutes for seed 0 on 2 cores of an AMD EPYC (Zen 3), no GPU, shared with other work,
    2026-11-25, and 3 for each of seeds 1 and 2 on 2026-11-28. Test (360 images) over seeds 0, 1, 2:
    15.86 ± 0.02 nats as a mixture of 16 orders; the standard error over images is 0.21.

    Args:
      settings: the flags every recipe has.
      data: which data, and in which form.
      optimizer: of the one player.
      hidden: widths of the hidden layers.
      num_orders: how many are mixed, as probabilities; 1 evaluates one order alone.
      ordering: of the first; the others are random.
    """
    single = orderless_nade.build(
        load(data).shape, hidden=hidden, ordering=ordering, dtype=settings.precision
    )
    model = single if num_orders == 1 else several(single, num_orders)
    return Experiment(model, settings, data, (optimizer,))


if __name__ == "__main__":
    sys.exit(train())

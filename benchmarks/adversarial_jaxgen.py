"""The jaxgen side of `benchmarks adversarial`: steps in the loop's own dispatches."""

import numpy as np

from benchmarks import worker
from benchmarks.dispatch import experiment, ready, stepping
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.gan import dcgan
from jaxgen.loop.host import keep_freed_memory


def main() -> None:
    """Serve the harness until it closes stdin."""
    keep_freed_memory()
    config = worker.config()
    shape = tuple(config["shape"])
    model = dcgan.build(
        shape,
        latent_dim=config["latent_dim"],
        features=config["features"],
        kernel_size=4,
        share_samples=config["share"],
    )
    adam = Optimizer(learning_rate=2e-4, beta1=0.5)
    trained = experiment(model, config["batch_size"], adam, adam)
    noise = np.random.default_rng(0)
    images = noise.uniform(-1, 1, (2 * config["batch_size"], *shape)).astype(np.float32)
    block = stepping(trained, {"image": images}, config["steps"])
    block()
    worker.serve(block, ready(trained))


if __name__ == "__main__":
    main()

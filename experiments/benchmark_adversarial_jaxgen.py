"""The jaxgen side of `experiments.benchmark adversarial`.

    python -m experiments.benchmark_adversarial_jaxgen JSON

speaks as `benchmark_autoregressive_torch` does; its steps are the loop's own dispatch.
"""

import json
import sys

import jax
import numpy as np

from experiments.benchmark_jaxgen import NEVER, serve, stepping, tell
from jaxgen import parallel
from jaxgen.experiment import Experiment, Settings
from jaxgen.folder import environment
from jaxgen.gan import dcgan
from jaxgen.memory import keep_freed_memory
from jaxgen.optimizer import Optimizer


def main() -> None:
    """Serves the harness until it closes stdin."""
    keep_freed_memory()
    config = json.loads(sys.argv[1])
    shape = tuple(config["shape"])
    sizes = {"latent_dim": config["latent_dim"], "features": config["features"]}
    model = dcgan.build(shape, **sizes, kernel_size=4, share_samples=config["share"])
    settings = Settings(steps=NEVER, batch_size=config["batch_size"])
    adam = Optimizer(learning_rate=2e-4, beta1=0.5)
    trained = Experiment(model, settings, optimizers=(adam, adam))
    variables = trained.abstract_state().variables
    params = [net["params"] for net in variables.values()]
    ready = environment() | {"parameters": sum(x.size for x in jax.tree.leaves(params))}
    images = np.random.default_rng(0).uniform(-1, 1, (2 * settings.batch_size, *shape))
    longest = parallel.steps_per_dispatch(variables)
    longest = max(n for n in range(1, longest + 1) if config["steps"] % n == 0)
    arrays = {"image": images.astype(np.float32)}
    block = stepping(trained, arrays, config["steps"], longest)
    block()
    tell(ready=ready)
    serve(block)


if __name__ == "__main__":
    main()

"""What `mutants.py` knows of each file: its own tests, its tiny models, its equivalent mutants."""

_GAME = [  # without the fits of a discriminator, which has nothing to do with these files
    "gan/test_gan.py::test_batch_statistics_are_those_of_separate_passes_and_the_real_one_stays",
    "gan/test_gan.py::test_the_players_draw_noise_of_their_own_unless_they_share",
    "gan/test_gan.py::test_the_generator_waits_for_the_discriminators_moves",
]
# Tests of files that no test file is named after, or of a folder's.
TESTS_OF = {
    "step.py": ["test_step.py"],
    "state.py": ["test_state.py", "test_step.py"],
    "vae/base.py": ["vae/test_bounds.py", "vae/test_iwae.py"],
    "vae/adversarial_autoencoder": ["vae/test_adversarial_autoencoder.py"],
    "evaluation/codes.py": ["evaluation/test_codes.py"],
    "vae/vae.py": ["vae/test_bounds.py", "vae/test_networks.py"],
    "gan/advantage.py": ["gan/test_advantage.py"],
    "gan/unrolled_gan.py": ["gan/test_unrolled_gan.py"],
    "gan/gan.py": ["gan/test_by_hand.py", *_GAME, "gan/test_variants.py"],
    "gan/base.py": ["gan/test_by_hand.py", *_GAME, "gan/test_variants.py"],
    "gan": ["gan/test_by_hand.py", "gan/test_variants.py"],
    "distributions/logistic_mixture.py": ["distributions/test_logistic_mixture.py"],
    "autoregressive/base.py": ["autoregressive/test_base.py", "autoregressive/test_chain_rule.py"],
    "autoregressive/raster.py": ["autoregressive/test_chain_rule.py"],
    "autoregressive/ordering.py": ["autoregressive/test_chain_rule.py"],
    "evaluation/distances.py": ["evaluation/test_neighbours.py"],
    "evaluation/record.py": ["evaluation/test_measures.py"],
    "evaluation/row.py": ["evaluation/test_measures.py"],
    "evaluation/measured.py": ["evaluation/test_measures.py"],
    "evaluation/per_example.py": ["evaluation/test_measures.py"],
    "evaluation/space.py": ["test_first_batch.py"],
    "evaluation/unnormalised.py": ["energy/test_rbm.py"],
    "distributions/path.py": ["evaluation/test_annealed.py"],
    "evaluation/features.py": ["evaluation/test_classifier.py", "evaluation/test_samples.py"],
}
# Models of tests/tiny.py in which a file, or a folder, runs; `--check` sees it in their
# certificates.
# A comma and settings: the model with these fields instead of its own.
TINY_OF = {
    "vae/autoencoder.py": ("autoencoder",),
    "vae/adversarial_autoencoder/semi_supervised.py": ("semi-supervised aae",),
    "vae/adversarial_autoencoder": (
        *("adversarial autoencoder", "adversarial autoencoder gaussian"),
        *("adversarial autoencoder universal", "adversarial autoencoder informed"),
    ),
    "vae/base.py": ("vae", "iwae"),
    "vae/iwae.py": ("iwae",),
    "vae/linear_gaussian.py": ("linear gaussian",),
    "vae/networks.py": ("vae levels", "vae conv", "vae learned std", "vae std per pixel"),
    "vae/vae.py": ("vae weighted", "vae conv", "vae"),
    "gan/advantage.py": (
        *("pac gan", "wgan gp", "f gan", "cat gan"),
        *("spectral gan, cost=least_squares", "spectral gan, cost=hinge", "f gan, divergence=gan"),
    ),
    "gan/base.py": ("wgan gp", "dcgan", "gan"),
    "gan/cat_gan.py": ("cat gan",),
    "gan/conditional_gan.py": ("conditional gan", "ac gan"),
    "gan/dcgan.py": ("dcgan",),
    "gan/f_gan.py": ("f gan", "f gan, alternative="),
    "gan/gan.py": ("gan virtual", "spectral gan"),
    "gan/pac_gan.py": ("pac gan",),
    "gan/semi_supervised_gan.py": ("semi-supervised gan",),
    "gan/unrolled_gan.py": ("unrolled gan",),
    "gan/wgan_gp.py": ("wgan gp",),
    "autoregressive/base.py": ("nade", "gated pixel cnn conditional", "row lstm"),
    "autoregressive/chain_rule.py": ("joint table",),
    "autoregressive/ensemble.py": ("orderless nades", "mades"),
    "autoregressive/fvbn.py": ("fvbn random order",),
    "autoregressive/gated_pixel_cnn": ("gated pixel cnn conditional", "gated pixel cnn rgb"),
    "autoregressive/made": ("made", "made deep"),
    "autoregressive/nade": ("nade",),
    "autoregressive/ordering.py": ("nade column order", "fvbn random order", "rnade laplace"),
    "autoregressive/orderless_nade.py": ("orderless nade",),
    "autoregressive/pixel_cnn": ("pixel cnn", "pixel cnn rgb"),
    "autoregressive/pixel_cnn_pp": ("pixel cnn++", "pixel cnn++ colours"),
    "autoregressive/pixel_rnn/diagonal_bilstm.py": ("diagonal bilstm",),
    "autoregressive/pixel_rnn/row_lstm.py": ("row lstm",),
    "autoregressive/pixel_rnn/multi_scale.py": ("multi scale",),
    "autoregressive/pixel_rnn/skew.py": ("diagonal bilstm",),
    "autoregressive/pixel_rnn": ("row lstm", "diagonal bilstm rgb"),
    "autoregressive/raster.py": ("pixel cnn",),
    "autoregressive/rnade.py": ("rnade", "rnade laplace"),
    "autoregressive/tabular": ("ar1", "ar2 stationary", "joint table", "independent"),
    "autoregressive/wavenet": ("wavenet conditional", "wavenet"),
}
# {mutant: why it computes the same, or nothing that matters}
EQUIVALENT: dict[str, str] = {
    "jaxgen/distributions/functions.py::discretized_logistic_log_prob: "
    "x < 0.5 -> x <= 0.5": "levels are whole numbers",
    "jaxgen/distributions/functions.py::discretized_logistic_log_prob: "
    "x > levels - 1.5 -> x >= levels - 1.5": "levels are whole numbers",
    "jaxgen/distributions/functions.py::sample_discretized_logistic: jnp.clip(jnp.round(draw), 0, "
    "levels - 1) -> jnp.clip(0, jnp.round(draw), levels - 1)": "the larger of two, either way",
    "jaxgen/losses.py::: 1e-12 -> 2e-12": "a root's slope at 0 is bounded by either",
    "jaxgen/losses.py::historical_averaging: x - mean -> mean - x": "it is squared",
    "jaxgen/vae/base.py::LatentVariableModel.init: 1 -> 2": "two examples initialise as one does",
    "jaxgen/distributions/mixture.py::MixtureOfGaussians.log_joint: normal_log_prob(x, mean, "
    "log_scale) -> normal_log_prob(mean, x, log_scale)": "a normal density is symmetric in the two",
    "jaxgen/distributions/mixture.py::MixtureOfLaplaces.log_joint: x - mean -> mean - x": "size "
    "alone counts",
    "jaxgen/distributions/observation.py::Gaussian.grid: jnp.linspace(-10, 10, 401, dtype="
    "params.dtype) -> jnp.linspace(10, -10, 401, dtype=params.dtype)": "the same points, backwards",
    "jaxgen/distributions/observation.py::Gaussian.grid: params[None, ..., 0] + steps * std[None] "
    "-> params[None, ..., 0] - steps * std[None]": "the same points, backwards",
    "jaxgen/distributions/observation.py::Gaussian.log_std: 1 -> 2": "beyond the end is the last",
    "jaxgen/vae/autoencoder.py::Autoencoder.squared_error: x - self.reconstruct(variables, x) -> "
    "self.reconstruct(variables, x) - x": "it is squared",
    "jaxgen/vae/autoencoder.py::Autoencoder.squared_error: -1 -> 1": "the last axis of two",
    "jaxgen/vae/iwae.py::IWAE.iwae_loss: -1 -> 1": "the last axis of two",
    "jaxgen/vae/networks.py::ConvEncoder.__call__: -1 -> 1": "the last axis of two",
    "jaxgen/gan/base.py::Adversarial.discriminator_inputs: 2 -> 3": "three initialise as two do",
    "jaxgen/gan/base.py::Adversarial.generator_inputs: 2 -> 3": "three initialise as two do",
    "jaxgen/gan/pac_gan.py::PacGAN.discriminator_inputs: 2 * self.pack -> self.pack": "one pack "
    "initialises as two do",
    "jaxgen/gan/conditional_gan.py::LabelledGenerator.__call__: -1 -> 1": "the last axis of two",
}

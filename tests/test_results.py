"""The figures of the docs, run again: minutes, so `make slow` runs them."""

import json

import jax
import numpy as np
import pytest

from experiments.vae.iwae import iwae_digits
from experiments.vae.linear_gaussian import vae_linear_gaussian
from experiments.vae.vae import vae_digits
from jaxgen import parallel
from jaxgen.cli.main import launch, main

pytestmark = pytest.mark.slow


def numbers(run) -> dict[str, float]:
    table = json.loads((run / "evaluation.json").read_text())
    return {record["metric"]: record["value"] for record in table}


def lines(run, split: str) -> list[dict]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if record["split"] == split]


@pytest.fixture(scope="module", autouse=True)
def one_device():
    """Eight simulated devices on two cores would take an hour."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "device_mesh", lambda: one)
        yield


one = parallel.device_mesh(jax.devices()[:1])


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    run = tmp_path_factory.mktemp("slow") / "vae_digits"
    assert launch(vae_digits, ["--workdir", str(run)]) == 0
    assert main(["evaluate", str(run)]) == 0
    return run


def test_vae_digits_reaches_its_figures(vae):
    found = numbers(vae)
    assert found["elbo"] >= -18.3
    assert found["iwae_500"] >= -17.2
    assert found["elbo"] < found["iwae_500"]


def test_vae_digits_certificate_holds(vae):
    assert main(["check", str(vae)]) == 0


def test_iwae_digits_is_tighter_than_the_vae_it_contains(tmp_path):
    run = tmp_path / "iwae_digits"
    assert launch(iwae_digits, ["--workdir", str(run)]) == 0
    assert main(["evaluate", str(run)]) == 0
    found = numbers(run)
    assert found["elbo"] < found["iwae_500"]
    assert found["iwae_500"] >= -17.2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_linear_gaussian_vae_reaches_the_closed_form_from_below(seed, tmp_path):
    """ELBO <= IWAE-20 <= exact at every evaluation, and the trained ELBO at the optimum."""
    run = tmp_path / "linear"
    assert launch(vae_linear_gaussian, ["--workdir", str(run), "--seed", str(seed)]) == 0
    evaluations = lines(run, "validation")
    assert len(evaluations) == 20
    for line in evaluations:
        assert line["elbo"] <= line["iwae_20"] + 1e-5
        # The estimate of the bound has noise where the bound is tight: four standard errors.
        assert line["gap"] >= -4 * line["gap_standard_error"] - 1e-5
    assert main(["evaluate", str(run)]) == 0
    assert abs(numbers(run)["elbo"] - closed_form_optimum()) <= 0.05


def closed_form_optimum() -> float:
    """Mean test log-likelihood of the probabilistic PCA fitted to 100 000 draws in closed form."""
    from jaxgen.data import Data, load
    from jaxgen.vae.linear_gaussian import fit, marginal_log_prob

    dataset = load(Data("linear_gaussian", transform="none"))
    train = dataset.splits["train"].batch(seed=0, step=0, batch_size=100_000)["image"]
    model = fit(np.asarray(train), 3)
    return float(marginal_log_prob(model, dataset.examples("test")).mean())

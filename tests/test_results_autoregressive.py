"""The figures of the autoregressive models, run again: `make slow` runs them."""

import json

import jax
import pytest

from jaxgen import parallel
from jaxgen.cli import recipes
from jaxgen.cli.main import launch, main
from jaxgen.data import Data, load

pytestmark = pytest.mark.slow

ENTROPY = {name: load(Data(name)).entropy for name in ("chain", "bars")}
# Each recipe reaches the entropy of a set that suits it to 0.06 nats (NADE on the chain to 0.05).
KNOWN = [
    ("tabular_bars", "bars", []),
    ("tabular_bars", "bars", ["--window", "5"]),
    ("tabular_bars", "chain", ["--window", "1"]),
    ("nade_digits", "chain", []),
    ("nade_digits", "bars", []),
    ("made_digits", "bars", []),
    ("diagonal_bilstm_digits", "bars", []),
]
ON_DIGITS = [  # worst to best; the last must reach 17.5 nats
    ("tabular_bars", ["--window", "0", "--data.name", "digits"]),
    ("tabular_bars", ["--window", "1", "--data.name", "digits"]),
    ("fvbn_digits", []),
    ("nade_digits", []),
]


@pytest.fixture(scope="module", autouse=True)
def one_device():
    """Eight simulated devices on two cores would take an hour."""
    one = parallel.device_mesh(jax.devices()[:1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "device_mesh", lambda: one)
        yield


def nats(recipe, flags, folder) -> tuple[float, float]:
    """-log p(x) on the test split and its standard error, of a run of the recipe."""
    function = recipes.find(recipe).function()
    assert launch(function, [*flags, "--workdir", str(folder)]) == 0
    assert main(["evaluate", str(folder)]) == 0
    table = {r["metric"]: r for r in json.loads((folder / "evaluation.json").read_text())}
    return -table["log_prob"]["value"], table["log_prob"]["standard_error"]


@pytest.mark.parametrize(("recipe", "name", "flags"), KNOWN)
def test_the_entropy_is_approached_from_above(recipe, name, flags, tmp_path):
    found, error = nats(recipe, ["--data.name", name, *flags], tmp_path / "run")
    assert found <= ENTROPY[name] + 0.06
    assert found >= ENTROPY[name] - 4 * error


def test_rnade_approaches_the_bananas_entropy(tmp_path):
    found, error = nats("rnade_banana", [], tmp_path / "run")
    entropy = load(Data("banana", transform="none")).entropy
    assert entropy - 4 * error <= found <= entropy + 0.06


def test_richer_models_explain_the_digits_better(tmp_path):
    found = [nats(name, flags, tmp_path / str(i))[0] for i, (name, flags) in enumerate(ON_DIGITS)]
    assert sorted(found, reverse=True) == found
    assert found[0] < 44.36  # uniform, 64 ln 2
    assert found[-1] <= 17.5


@pytest.mark.parametrize(
    "recipe", ["row_lstm_digits", "diagonal_bilstm_digits", "pixel_cnn_digits"]
)
def test_a_certificate_holds_after_training(recipe, tmp_path):
    nats(recipe, ["--steps", "500"], tmp_path / "run")
    assert main(["check", str(tmp_path / "run")]) == 0

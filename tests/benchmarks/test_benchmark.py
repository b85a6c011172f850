"""The benchmark's statistics on known times, and tiny runs of its commands."""

import json
import math

import jax
import numpy as np
import pytest

from benchmarks import __main__ as benchmark
from benchmarks import autoregressive, harness, sampling
from benchmarks.harness import Spread, judged, ratio, row, take_turns


class Clock:
    """Stands in for a worker whose blocks take known times."""

    def __init__(self, name, times, order):
        self.name, self._times, self._order = name, iter(times), order

    def block(self):
        """The next time."""
        self._order.append(self.name)
        return next(self._times)


def test_variants_take_turns_and_every_other_round_goes_backwards():
    order = []
    workers = [Clock("a", [1.0, 2.0], order), Clock("b", [3.0, 4.0], order)]
    assert take_turns(workers, 2) == {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    assert order == ["a", "b", "b", "a"]


def test_a_ratio_is_taken_within_a_round():
    slow, fast = [10.0, 40.0, 30.0], [5.0, 10.0, 10.0]
    found = ratio(slow, fast, at_least=3.5)
    assert (found["low"], found["median"], found["high"]) == (2.0, 3.0, 4.0)
    assert found["holds"] is False
    drifting = ratio([2.0, 40.0, 8.0], [1.0, 20.0, 4.0])  # of a machine that others use
    assert (drifting["low"], drifting["high"]) == (2.0, 2.0)


def test_a_row_is_median_p10_and_rate():
    found = row([float(x) for x in range(1, 12)], batch_size=128)
    assert found == {"median_ms": 6.0, "p10_ms": 2.0, "images_per_second": pytest.approx(21333.33)}


def test_a_spread_holds_quartiles_and_ends():
    assert Spread.of([1.0, 2.0, 3.0, 4.0, 5.0]) == Spread(3.0, 1.4, 2.0, 4.0, 1.0, 5.0)


def test_targets_are_judged_from_their_side():
    assert judged(2.0, at_least=2.0)["holds"]
    assert not judged(1.99, at_least=2.0)["holds"]
    assert judged(1.1, at_most=1.1)["holds"]
    assert not judged(1.2, at_most=1.1)["holds"]


def test_a_tiny_run_without_torch_prints_its_rows(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(harness.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    out = tmp_path / "rows.json"
    assert benchmark.main(["vae", "--smoke", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "PyTorch is left out" in printed
    assert "jaxgen.loop / bare step" in printed
    report = json.loads(out.read_text())
    assert set(report["rows"]) == {"loop", "bare"}
    assert all(len(times) == 2 and min(times) > 0 for times in report["times"].values())


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["vae", "--block-steps", "150"], "--block-steps 150"),
        (["vae", "--smoke", "--torch-python", "no/such/python"], "no/such/python"),
        (["autoregressive", "--rounds", "0"], "--rounds 0"),
        (["sampling", "--positions", "0"], "--positions 0"),
        (["seeds", "--num", "1"], "--num 1"),
        (["sampling", "--smoke", "--only", "gan"], "--only gan: choose from nade"),
    ],
)
def test_a_wrong_flag_is_a_line_and_exit_code_2(argv, named, capsys):
    assert benchmark.main(argv) == 2
    assert named in capsys.readouterr().err


def test_a_worker_that_dies_is_an_error_with_its_last_words(tmp_path):
    command = [benchmark.sys.executable, "-c", "raise SystemExit('no such thing')"]
    worker = harness.Worker("torch", command, 1, tmp_path)
    with (
        harness.closing_all([worker]),
        pytest.raises(harness.JaxgenError, match="'torch' ended: no such thing"),
    ):
        worker.ready()


def test_a_block_that_is_a_part_of_a_step_counts_as_that_part(tmp_path):
    says = "import json; input(); print(json.dumps({'seconds': 1.5}), flush=True); input()"
    command = [benchmark.sys.executable, "-c", says]
    with harness.closing_all([harness.Worker("torch", command, 16 / 784, tmp_path)]) as [worker]:
        assert worker.block() == pytest.approx(1500 * 49)


def test_a_tiny_autoregressive_run_without_torch_prints_its_rows(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(harness.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    out = tmp_path / "rows.json"
    argv = ["autoregressive", "--smoke", "--only", "diagonal_bilstm", "--out", str(out)]
    assert benchmark.main(argv) == 0
    printed = capsys.readouterr().out
    assert "PyTorch is left out" in printed
    assert "Diagonal BiLSTM, training" in printed
    (entry,) = json.loads(out.read_text())["comparisons"]
    assert len(entry["times"]["jaxgen"]) == 2
    assert min(entry["times"]["jaxgen"]) > 0
    assert entry["environment"]["jaxgen"]["parameters"] > 0


def compared(model, task, times):
    """The figures of a comparison, as both workers would give them."""
    wanted = {"model": model, "task": task}
    (comparison,) = (c for c in autoregressive.COMPARISONS if vars(c) == vars(c) | wanted)
    jaxgen = dict.fromkeys(("jaxgen", "jax", "flax", "python", "platform", "device"), "-")
    jaxgen |= {"num_devices": 1, "processor": "-", "cpu_count": 2, "parameters": 1000}
    torch = {"torch": "2", "device": "cpu", "threads": 2, "parameters": 1000}
    said = {"jaxgen": jaxgen, "torch": torch}
    config = autoregressive.settings(comparison, smoke=False)
    return autoregressive.report(config, said, times)


def test_the_comparison_with_pytorch_judges_its_targets_and_says_what_is_extrapolated():
    when = {"date": "-", "load_average": None}
    slow = compared("nade", "train", {"torch": [30.0, 39.0], "jaxgen": [10.0, 10.0]})
    fast = compared("pixel_cnn", "sample", {"torch": [20_000.0] * 2, "jaxgen": [100.0] * 2})
    found = {"comparisons": [slow, fast], "before": when, "after": when}
    lines = autoregressive.table(found)
    (training,) = (line for line in lines if line.startswith("NADE, training"))
    (sampling,) = (line for line in lines if line.startswith("PixelCNN, sampling"))
    assert training.split()[7:10] == ["3.45", "3.23-3.67", "at"]
    assert training.endswith("at least 4: MISSED")
    assert sampling.endswith("at least 150: holds")
    assert "20000.0*" in sampling
    assert any("784 full forward passes" in line for line in lines)
    assert any("49-fold" in line for line in lines)


def test_a_network_that_is_not_the_same_in_pytorch_ends_the_comparison():
    ours, theirs = {"parameters": 1000}, {"parameters": 1010, "difference": 1e-6}
    same = {"jaxgen": ours, "torch": theirs}
    autoregressive.require_same("nade", same)
    for wrong, named in (({"parameters": 1030}, "1030"), ({"difference": 0.1}, "differ")):
        with pytest.raises(harness.JaxgenError, match=named):
            autoregressive.require_same("nade", same | {"torch": theirs | wrong})


def test_pytorch_computes_the_same_logits_from_the_same_parameters(tmp_path):
    torch = pytest.importorskip("torch")
    from benchmarks import autoregressive_jaxgen, models
    from benchmarks.pytorch.models import MODELS

    for name, kind in MODELS.items():
        sizes, shape = models.TINY[name], (5, 6, 1)
        model = models.build(name, shape, sizes)
        x = np.random.default_rng(1).integers(0, 2, (3, *shape)).astype(np.float32)
        autoregressive_jaxgen.leave_weights(model, x, str(tmp_path / name) + ".npz")
        with np.load(tmp_path / f"{name}.npz") as saved:
            copy = kind(list(shape), **sizes)
            copy.load({key[2:]: saved[key] for key in saved.files if key.startswith("p/")})
            logits = copy(torch.from_numpy(x[:, None, ..., 0])).detach().flatten(1).numpy()
            np.testing.assert_allclose(logits, saved["logits"], atol=1e-5, err_msg=name)


def test_a_tiny_sampling_run_prints_its_rows(tmp_path, capsys):
    out = tmp_path / "rows.json"
    assert benchmark.main(["sampling", "--smoke", "--only", "nade", "made", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "from scratch, O(D^2 H)" in printed
    found = json.loads(out.read_text())["models"]
    assert set(found["nade"]["times"]) == {"2", "4", "naive", "direct"}
    assert set(found["made"]["ratios"]) == {"naive", "jacobi", "growth"}
    assert 2 <= found["made"]["passes"] <= 17
    assert all(min(times) > 0 for entry in found.values() for times in entry["times"].values())


def test_nade_from_scratch_is_nade():
    model, variables = sampling.fresh("nade", 4, {"hidden": 3})
    variables = jax.tree.map(lambda leaf: 50 * leaf, variables)
    key = jax.random.key(3)
    expected = model.sample(variables, key, sampling.NUM)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(sampling.direct_nade(model, variables, key), expected)


def test_the_elements_that_stand_for_all_are_spread_evenly():
    model, _ = sampling.fresh("nade", 28, {"hidden": 1})
    order = sampling.SomeElements(model, 16).order
    assert (order[0], order[-1], len(order)) == (0, 783, 16)
    assert set(np.diff(order)) == {52, 53}


def test_samplers_are_judged_by_their_ratio_and_by_their_growth():
    times = {"8": [64.0] * 2, "28": [784.0] * 2, "32": [2048.0] * 2}
    times |= {"direct": [78_400.0] * 2, "naive": [7840.0] * 2}
    found = sampling.ratios("nade", 28, (8, 28, 32), times, judge=True)
    assert found["direct"]["holds"]
    assert "holds" not in found["naive"]
    assert math.isclose(found["growth"]["median"], 2.0)
    assert found["growth"]["holds"] is False


def test_seeds_together_are_timed_against_one_and_against_all_apart(tmp_path, capsys):
    out = tmp_path / "seeds.json"
    flags = ["seeds", "--smoke", "--num", "2", "--only", "unrolled", "--out", str(out)]
    assert benchmark.main(flags) == 0
    assert "unrolled: one seed" in capsys.readouterr().out
    entry = json.loads(out.read_text())["presets"]["unrolled"]
    assert entry["difference"] < 1e-4
    over_one, over_two = (entry["ratios"][key]["median"] for key in ("one seed", "2 runs"))
    assert math.isclose(over_one, 2 * over_two, rel_tol=1e-6)


def test_steps_that_look_for_nan_are_timed_against_those_that_do_not(tmp_path, capsys):
    out = tmp_path / "guard.json"
    flags = ["guard", "--smoke", "--only", "nade", "--out", str(out)]
    assert benchmark.main(flags) == 0
    assert "NADE 784-500" in capsys.readouterr().out
    entry = json.loads(out.read_text())["models"]["nade"]
    with_it, without = (entry["times"][kind] for kind in ("with", "without"))
    ratios = [a / b for a, b in zip(with_it, without, strict=True)]
    assert min(ratios) <= entry["ratio"]["median"] <= max(ratios)

"""The benchmark's statistics on known times, and one tiny run of its harness."""

import json

import pytest

from experiments import benchmark, benchmark_harness
from experiments.benchmark_harness import Spread, judged, ratio, row, take_turns


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
    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda name: None)
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
    ],
)
def test_a_wrong_flag_is_a_line_and_exit_code_2(argv, named, capsys):
    assert benchmark.main(argv) == 2
    assert named in capsys.readouterr().err


def test_a_worker_that_dies_is_an_error_with_its_last_words(tmp_path):
    command = [benchmark.sys.executable, "-c", "raise SystemExit('no such thing')"]
    worker = benchmark_harness.Worker("torch", command, 1, tmp_path)
    with (
        benchmark_harness.closing_all([worker]),
        pytest.raises(benchmark_harness.JaxgenError, match="'torch' ended: no such thing"),
    ):
        worker.ready()

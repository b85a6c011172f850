"""Each verb needs a folder alone, writes its file and says where."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

import jaxgen
from jaxgen import check, data
from jaxgen.check import at_most
from jaxgen.cli import recipes
from jaxgen.cli.main import launch, main
from jaxgen.console import printable
from jaxgen.typing import Model


@pytest.fixture(autouse=True)
def hooks(monkeypatch):
    """The command line sets a hook for its process; here it is taken back."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    """A copy of the finished run for the verbs to write to."""
    return shutil.copytree(finished, tmp_path_factory.mktemp("verbs") / "run")


def printed(capsys, *argv):
    assert main([str(word) for word in argv]) == 0
    return capsys.readouterr().out


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_evaluate_writes_records_and_says_where(folder, capsys):
    said = printed(capsys, "evaluate", folder, "--num-samples", 4)
    assert said.splitlines()[-1] == str(folder / "evaluation.json")
    records = json.loads((folder / "evaluation.json").read_text())
    keys = {"metric", "value", "standard_error", "unit", "split", "num", "protocol"}
    assert all(set(record) == keys for record in records)
    assert {"elbo", "iwae_4", "kl", "reconstruction"} <= {record["metric"] for record in records}
    for part in ("digits test split", "sha256", "4 draws", "seed 0", "step 8", "moving average"):
        assert part in records[0]["protocol"]


def test_evaluate_twice_gives_the_same_bytes(folder, capsys):
    found = []
    for _ in range(2):
        printed(capsys, "evaluate", folder, "--num-samples", 4)
        found.append((folder / "evaluation.json").read_bytes())
    assert found[0] == found[1]


def test_evaluate_takes_a_split(folder, capsys):
    printed(capsys, "evaluate", folder, "--num-samples", 4, "--split", "validation")
    records = json.loads((folder / "evaluation.json").read_text())
    assert {record["split"] for record in records} == {"validation"}
    assert {record["num"] for record in records} == {
        jaxgen.load(folder).dataset().splits["validation"].num
    }


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\xfe[0.1]", "\u00a0*\u65e5".encode()])
def test_names_of_any_bytes_are_taken_and_shown(folder, capsys, tmp_path, name):
    run = shutil.copytree(folder, tmp_path / os.fsdecode(name))
    out = tmp_path / os.fsdecode(b"\xfe" + name + b".npz")
    said = printed(capsys, "sample", run, "--num", 3, "--out", out)
    assert said.splitlines()[-1] == printable(str(out))
    with np.load(out) as arrays:
        assert arrays["x"].shape == (3, 8, 8, 1)
    said = printed(capsys, "report", run)
    assert said.splitlines()[-1] == printable(str(run / "report.html"))
    assert (run / "report.html").read_bytes().decode()


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        ("sample", "samples.png"),
        ("reconstruct", "reconstructions.png"),
        ("interpolate", "interpolation.png"),
    ],
)
def test_a_picture_goes_into_the_run_folder(folder, capsys, verb, name):
    said = printed(capsys, verb, folder / "checkpoints" / "8", "--num", 4)
    assert said.splitlines()[-1] == str(folder / name)
    assert picture(folder / name).std() > 0


ARRAYS = {
    "sample": {"x": (4, 8, 8, 1)},
    "reconstruct": {"x": (4, 8, 8, 1), "real": (4, 8, 8, 1)},
    "interpolate": {"x": (4, 11, 8, 8, 1)},
}


@pytest.mark.parametrize("verb", ARRAYS)
def test_an_array_goes_where_it_is_told(folder, tmp_path, capsys, verb):
    target = tmp_path / "new" / "x.npz"
    said = printed(capsys, verb, folder, "--num", 4, "--out", target)
    assert said.splitlines()[-1] == str(target)
    with np.load(target) as arrays:
        assert {name: arrays[name].shape for name in arrays} == ARRAYS[verb]


def test_a_picture_goes_where_it_is_told(folder, tmp_path, capsys):
    printed(capsys, "sample", folder, "--out", tmp_path / "x.png")
    assert picture(tmp_path / "x.png").ndim == 3


def test_a_seed_fixes_the_samples(folder, tmp_path, capsys):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        target = tmp_path / f"{name}.npz"
        printed(capsys, "sample", folder, "--num", 4, "--seed", seed, "--out", target)
    a, b, c = (np.load(tmp_path / f"{name}.npz")["x"] for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_draws_are_pixels_and_means_are_not(folder, tmp_path, capsys):
    printed(capsys, "sample", folder, "--out", tmp_path / "draws.npz")
    printed(capsys, "sample", folder, "--values", "means", "--out", tmp_path / "means.npz")
    draws, means = (np.load(tmp_path / f"{name}.npz")["x"] for name in ("draws", "means"))
    assert set(np.unique(draws)) <= {0.0, 1.0}
    assert len(np.unique(means)) > 100


def test_only_what_was_made_is_counted(folder, tmp_path, capsys):
    said = printed(capsys, "reconstruct", folder, "--num", 100_000, "--out", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        assert said.startswith(f"{len(arrays['x'])} test examples")


def test_sampling_needs_no_data(folder, tmp_path, capsys, monkeypatch):
    def gone(config):
        raise AssertionError("data were read")

    monkeypatch.setattr(data, "load", gone)
    printed(capsys, "sample", folder, "--out", tmp_path / "x.png")
    assert (tmp_path / "x.png").exists()


def test_the_ends_of_a_walk_are_reconstructions(folder, tmp_path, capsys):
    printed(capsys, "interpolate", folder, "--num", 2, "--out", tmp_path / "walks.npz")
    printed(capsys, "reconstruct", folder, "--num", 4, "--out", tmp_path / "made.npz")
    walks, made = (np.load(tmp_path / name)["x"] for name in ("walks.npz", "made.npz"))
    np.testing.assert_allclose(walks[:, 0], made[:2], atol=1e-5)
    np.testing.assert_allclose(walks[:, -1], made[2:], atol=1e-5)


def test_the_certificate_holds_its_laws_and_figures(folder, capsys):
    said = printed(capsys, "check", folder)
    target = folder / "certificate.json"
    assert said.splitlines()[-1] == str(target)
    certificate = json.loads(target.read_text())
    assert certificate["passed"] is True
    assert certificate["step"] == 8
    assert len(certificate["laws"]) >= 10
    for law in certificate["laws"]:
        assert set(law) == {"law", "figure", "bound", "passed", "unit", "meaning"}
        assert law["law"] in said


def test_a_law_that_fails_is_exit_1(folder, capsys, monkeypatch):
    broken = at_most("pigs walk", 2.0, 1.0, "pigs", "They fly.")
    monkeypatch.setattr(check, "_LAWS", (((Model,), lambda subject: [broken]),))
    assert main(["check", str(folder)]) == 1
    assert "FAILS  pigs walk" in capsys.readouterr().out
    assert json.loads((folder / "certificate.json").read_text())["passed"] is False


def test_the_report_is_one_page(folder, capsys):
    said = printed(capsys, "report", folder)
    headline, path = said.strip().splitlines()
    assert headline.startswith(f"{folder}: ")
    assert "elbo" in headline
    assert path == str(folder / "report.html")
    page = (folder / "report.html").read_bytes()
    assert len(page) < 5_000_000
    assert b"elbo" in page


@pytest.mark.parametrize(
    ("verb", "name"), [("evaluate", "x.json"), ("check", "x.json"), ("report", "x.html")]
)
def test_numbers_go_where_they_are_told(verb, name, copied, tmp_path, capsys):
    target = tmp_path / "new" / name
    assert printed(capsys, verb, copied, "--out", target).splitlines()[-1] == str(target)
    assert target.stat().st_size > 100
    wrong = target.with_suffix(".txt")
    assert main([verb, str(copied), "--out", str(wrong)]) == 2
    assert f"expected FILE{target.suffix}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "name", "said"),
    [
        ("evaluate", "x.json", "elbo"),
        ("check", "x.json", "laws hold"),
        ("report", "x.html", ": "),
        ("sample", "x.npz", "64 samples"),
        ("reconstruct", "x.npz", "32 test examples"),
        ("interpolate", "x.png", "8 walks of 11 points"),
    ],
)
def test_what_was_found_is_printed_although_it_cannot_be_written(
    verb, name, said, copied, tmp_path, capsys
):
    (tmp_path / "file").write_text("")
    assert main([verb, str(copied), "--out", str(tmp_path / "file" / name)]) == 6
    found = capsys.readouterr()
    assert said in found.out
    assert "cannot write" in found.err


@pytest.fixture(scope="module")
def chained(tmp_path_factory):
    """A run of a few steps of a model whose samples are the ends of chains."""
    run = tmp_path_factory.mktemp("chained") / "gsn"
    words = ["--steps", "4", "--batch-size", "16", "--hidden", "8", "8", "--workdir", str(run)]
    assert launch(recipes.find("gsn_digits").function(), words) == 0
    return run


def test_chains_over_time_are_a_strip_each(chained, tmp_path, capsys):
    said = printed(capsys, "sample", chained, "--chain", "--num", 3, "--points", 5)
    assert said.splitlines() == ["3 chains at 5 times, seed 0", str(chained / "chains.png")]
    drawn = picture(chained / "chains.png")
    assert drawn.shape[1] > drawn.shape[0]
    printed(capsys, "sample", chained, "--chain", "--out", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["x"].shape == (8, 11, 8, 8, 1)
        assert (arrays["x"][:, 0] == 0.5).all()  # coins


def test_chains_are_refused_where_there_are_none_or_too_few_points(folder, chained, capsys):
    assert main(["sample", str(folder), "--chain"]) == 2
    assert "VAE has no chain" in capsys.readouterr().err
    assert main(["sample", str(chained), "--chain", "--points", "1"]) == 2
    assert "--points: got 1, expected >= 2" in capsys.readouterr().err

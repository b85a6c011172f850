"""The tool that breaks files: what it breaks, how, and that it knows the tests of every file."""

import ast

import mutants
import pytest
from breaking import NUM
from breaking import mutants as broken

SOURCE = '''"""A docstring of 3 - 2."""
from math import log, exp

def f(x: float, y: int = 1, width: int = 64) -> float:
    """Return 1 - x."""
    key = fold_in(x, 7)
    if y < 1:
        raise ValueError(f"y: got {y - 1}")
    total = x.mean(axis=0) - 2.5 * log(y)
    return -total / g(x, y) if x <= y else lax.stop_gradient(x) @ y
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file.py"
    path.write_text(SOURCE)
    return path


def test_every_kind_of_change_is_made(file):
    found = broken(file, 1000)
    names = {mutant.name for mutant in found}
    for change in (
        "f: x.mean(axis=0) -> x.sum(axis=0)",
        "f: x.mean(axis=0) -> x.mean(axis=-1)",
        "f: 2.5 * log(y) -> 2.5 / log(y)",
        "f: 2.5 * log(y) -> log(y)",
        "f: x.mean(axis=0) - 2.5 * log(y) -> x.mean(axis=0)",
        "f: x.mean(axis=0) - 2.5 * log(y) -> x.mean(axis=0) - 2 * (2.5 * log(y))",
        "f: x.mean(axis=0) - 2.5 * log(y) -> 2.5 * log(y) - x.mean(axis=0)",
        "f: 2.5 -> 3.5",
        "f: 2.5 -> 5.0",
        "f: log(y) -> log1p(y)",
        "f: -total -> total",
        "f: g(x, y) -> g(y, x)",
        "f: x <= y -> x < y",
        "f: lax.stop_gradient(x) @ y -> y @ lax.stop_gradient(x)",
        "f: lax.stop_gradient(x) -> x",
        "f: 1 -> 2",
    ):
        assert change in names
    assert len(names) == len(found) == len({mutant.source for mutant in found})


def test_what_is_no_arithmetic_is_left(file):
    for mutant in broken(file, 1000):
        assert "A docstring of 3 - 2." in mutant.source
        assert "Return 1 - x." in mutant.source
        assert "got {y - 1}" in mutant.source
        assert "y < 1" in mutant.source
        assert "fold_in(x, 7)" in mutant.source
        assert "width: int=64" in mutant.source
        compile(mutant.source, "file", "exec")


def test_the_same_mutants_are_drawn_again_and_of_all_kinds(file):
    first = broken(file)
    assert first == broken(file)
    assert len(first) == NUM
    assert len({mutant.kind for mutant in broken(file, 8)}) == 8


def test_the_file_itself_is_left_as_it_is(file):
    before = ast.dump(ast.parse(file.read_text()))
    broken(file)
    assert ast.dump(ast.parse(file.read_text())) == before


FILES = mutants.arithmetic_files([])


def test_every_arithmetic_file_has_tests_that_are_there():
    assert len(FILES) > 60
    for path in FILES:
        for name in mutants.tests_of(path):
            assert mutants.Path(name.partition("::")[0]).exists(), path


def test_a_name_that_is_said_to_be_equivalent_is_that_of_a_mutant():
    said: dict[str, set[str]] = {}
    for name, reason in mutants.EQUIVALENT.items():
        short, _, change = name.partition("::")
        said.setdefault(short, set()).add(change)
        assert reason
    for short, changes in said.items():
        found = {mutant.name for mutant in broken(mutants.ROOT / short, 10**6)}
        assert changes <= found, short


@pytest.mark.parametrize(("code", "alive"), [(0, [0, 1]), (1, [])])
def test_what_fails_in_a_child_is_caught(code, alive, monkeypatch):
    monkeypatch.setattr(mutants.os, "fork", lambda: 7)
    monkeypatch.setattr(mutants.os, "wait", lambda: (7, code))
    found = mutants.survivors(FILES[0], ["", ""], 1, by_check=False, loud=False)
    assert found == alive


def test_a_child_sees_the_broken_source(tmp_path, monkeypatch):
    finder = mutants._Broken("broken_for_a_test", "value = 3", tmp_path / "x.py")
    monkeypatch.setattr(mutants.sys, "meta_path", [finder, *mutants.sys.meta_path])
    import broken_for_a_test

    assert broken_for_a_test.value == 3
    assert finder.find_spec("another") is None

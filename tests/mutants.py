"""Break the arithmetic of a file in twenty ways and more, and see its own tests go red.

    python tests/mutants.py jaxgen/losses.py jaxgen/vae     # files and folders
    python tests/mutants.py --check jaxgen/vae              # by `jaxgen check` alone
    python tests/mutants.py                                 # all that is arithmetic

A mutant is one change of the syntax tree (`breaking.py`): a sign, an off-by-one, a dropped or
doubled term, other arguments' places, a mean for a sum, another axis. Which are tried is drawn by
the file's name, so that a run can be repeated. What survives is printed; the exit code is 1 if any
does that is not listed, with a reason, in `EQUIVALENT`.

Importing jax takes longer than most tests: one process imports it and forks before XLA has threads,
and a child sees the broken file alone.
"""

import argparse
import dataclasses
import importlib.abc
import importlib.util
import os
import signal
import sys
import time
import traceback
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from breaking import NUM, mutants
from mutant_tables import EQUIVALENT, TESTS_OF, TINY_OF

TESTS = Path(__file__).parent
ROOT = TESTS.parent
SECONDS = 300  # of an unbroken file; a mutant that takes five times as long as that is caught
CAUGHT = 1

FOLDERS = ("autoregressive", "vae", "gan", "distributions", "evaluation")
FILES = ("losses.py", "step.py", "state.py")


class _Broken(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a source of ours."""

    def __init__(self, module: str, source: str, file: Path):
        self._module = module
        self._source = source
        self._file = file

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Find the one module."""
        del path, target
        if name != self._module:
            return None
        return importlib.util.spec_from_loader(name, self, origin=str(self._file))

    def exec_module(self, module: Any) -> None:
        """Run the broken source."""
        module.__file__ = str(self._file)
        exec(compile(self._source, str(self._file), "exec"), module.__dict__)


def module_of(file: Path) -> str:
    """Return the name by which a file is imported."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def tests_of(file: Path) -> list[str]:
    """Return the tests of a file: by `TESTS_OF`, else those named after it or its folder."""
    inner = file.relative_to(ROOT / "jaxgen")
    for place in (str(inner), str(inner.parent)):
        if place in TESTS_OF:
            return [str(TESTS / name) for name in TESTS_OF[place]]
    for stem in (inner.stem, inner.parent.name):
        folder = inner.parts[0] if len(inner.parts) > 1 else ""
        mirrored = TESTS / folder / f"test_{stem}.py"
        if mirrored.exists():
            return [str(mirrored)]
    raise SystemExit(f"{inner}: no tests are known; add it to TESTS_OF in mutant_tables.py")


def run_tests(file: Path) -> int:
    """Run a file's own tests and return pytest's exit code."""
    import pytest

    quiet = ["-x", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "--assert=plain"]
    # What fails fast comes first; shapes are not checked by types here, which would help.
    return int(pytest.main([*quiet, "-m", "not slow and not chaos", *tests_of(file)]))


def models_of(file: Path) -> tuple[str, ...]:
    """Return the tiny models that run a file, by `TINY_OF`."""
    inner = file.relative_to(ROOT / "jaxgen")
    for place in (inner, *inner.parents):
        if str(place) in TINY_OF:
            return TINY_OF[str(place)]
    raise SystemExit(
        f"{inner}: no tiny model is known to run it; add it to TINY_OF in mutant_tables.py"
    )


def subject_of(name: str) -> Any:
    """Return the subject of a certificate: a tiny model, far from its start, and 16 examples."""
    import jax
    import tiny

    from jaxgen.check import Subject

    base, *settings = name.split(", ")
    experiment = tiny.experiment(base)
    if settings:
        changed = dict(setting.split("=") for setting in settings)
        model = dataclasses.replace(experiment.model, **changed)
        experiment = dataclasses.replace(experiment, model=model)
    fields = tiny.batch(base, 16)
    x = fields.pop("image")
    variables = tiny.scaled(tiny.fresh(base).variables, 2.0)
    return Subject(experiment, variables, x, jax.random.key(5), fields)


def run_check(file: Path) -> int:
    """Return 1 if a certificate of a tiny model that runs the file fails."""
    from jaxgen.check import laws

    for name in models_of(file):
        for law in laws(subject_of(name)):
            if not law.passed:
                print(f"{name}: {law.law}: {law.figure:g}, bound {law.bound:g}")
                return CAUGHT
    return 0


def started(file: Path, source: str, seconds: int, *, by_check: bool, loud: bool) -> int:
    """Start the tests, or the certificates, on that source in a child process; return its id."""
    child = os.fork()
    if child:
        return child
    signal.alarm(seconds)  # ends it
    if not loud:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    code = CAUGHT
    try:
        sys.meta_path.insert(0, _Broken(module_of(file), source, file))
        code = run_check(file) if by_check else run_tests(file)
    except BaseException:  # also an exit: the child must not go on as the parent
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)


def survivors(
    file: Path, sources: list[str], jobs: int, seconds: int = SECONDS, **how: bool
) -> list[int]:
    """Return the numbers of the sources on which nothing fails, `jobs` at a time."""
    running: dict[int, int] = {}
    alive = []
    waiting = list(enumerate(sources))
    while waiting or running:
        while waiting and len(running) < jobs:
            number, source = waiting.pop(0)
            running[started(file, source, seconds, **how)] = number
        child, status = os.wait()
        number = running.pop(child)
        if len(sources) > 1:
            print("S" if status == 0 else ".", end="", file=sys.stderr, flush=True)
        if status == 0:
            alive.append(number)
    return sorted(alive)


def prepare() -> None:
    """Import what takes long and starts no thread."""
    sys.path.insert(0, str(TESTS))
    sys.path.insert(0, str(ROOT))
    import conftest  # noqa: F401 (sets the environment of jax)
    import flax.linen  # noqa: F401
    import hypothesis  # noqa: F401
    import jax  # noqa: F401
    import jaxtyping  # noqa: F401
    import optax  # noqa: F401
    import scipy.linalg  # noqa: F401
    import sklearn.datasets  # noqa: F401
    import tyro  # noqa: F401


def arithmetic_files(paths: list[str]) -> list[Path]:
    """Return the files of these paths, or all that are arithmetic, without `__init__`."""
    home = ROOT / "jaxgen"
    given = [ROOT / path for path in paths]
    roots = given or [*(home / name for name in FOLDERS), *(home / name for name in FILES)]
    files: list[Path] = []
    for root in roots:
        files += sorted(root.rglob("*.py")) if root.is_dir() else [root]
    return [file for file in files if file.name != "__init__.py"]


class Tally(NamedTuple):
    """What the mutants of a file, or of a family, came to.

    Attributes:
      tried: how many were.
      caught: of them.
      equivalent: survivors that are listed with a reason.
    """

    tried: int
    caught: int
    equivalent: int

    def __str__(self) -> str:
        """Say it in words; the share is of those that are not known to be equivalent."""
        share = 100 * self.caught / max(self.tried - self.equivalent, 1)
        told = f"{self.caught} of {self.tried} caught"
        if self.equivalent:
            told += f", {self.equivalent} equivalent"
        return f"{told}: {share:.1f} %"


def tried(file: Path, told: argparse.Namespace) -> Tally | None:
    """Try the mutants of a file and print what survives; None if it fails as it is."""
    short = str(file.relative_to(ROOT))
    how = {"by_check": told.check, "loud": told.loud}
    began = time.monotonic()
    chosen = [mutant for mutant in mutants(file, told.num) if told.only in mutant.name]
    if not chosen:
        return Tally(0, 0, 0)
    if not survivors(file, [file.read_text()], 1, **how):
        print(f"{short}: fails as it is", flush=True)
        return None
    patience = 30 + 5 * int(time.monotonic() - began)
    alive = survivors(file, [mutant.source for mutant in chosen], told.jobs, patience, **how)
    names = [f"{short}::{chosen[number].name}" for number in alive]
    equivalent = sum(name in EQUIVALENT for name in names)
    tally = Tally(len(chosen), len(chosen) - len(alive), equivalent)
    print(f"{short}: {tally}, {time.monotonic() - began:.0f} s", flush=True)
    for name in names:
        reason = EQUIVALENT.get(name, "")
        print(f"  {'equivalent' if reason else 'LIVES'}  {name}  {reason}", flush=True)
    return tally


def main() -> int:
    """Try the mutants and print what survives."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--num", type=int, default=NUM, help="of each file")
    parser.add_argument("--jobs", type=int, default=2, help="at once")
    parser.add_argument("--check", action="store_true", help="by certificates, not by tests")
    parser.add_argument("--only", default="", help="mutants whose names have this in them")
    parser.add_argument("--loud", action="store_true", help="show what the tests print")
    told = parser.parse_args()
    prepare()
    tallies: dict[str, list[Tally]] = defaultdict(list)
    sound = True
    for file in arithmetic_files(told.paths):
        tally = tried(file, told)
        sound = sound and tally is not None
        if tally is not None and tally.tried:
            tallies[file.relative_to(ROOT / "jaxgen").parts[0]].append(tally)
    for family, of_files in tallies.items():
        print(f"{family}: {_sum(of_files)}")
    everything = _sum([tally for of_files in tallies.values() for tally in of_files])
    print(f"all: {everything}")
    unexplained = everything.tried - everything.caught - everything.equivalent
    return int(not sound or (unexplained > 0 and not told.check))


def _sum(tallies: list[Tally]) -> Tally:
    return (
        Tally(*(sum(counts) for counts in zip(*tallies, strict=True)))
        if tallies
        else Tally(0, 0, 0)
    )


if __name__ == "__main__":
    sys.exit(main())

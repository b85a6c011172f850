"""Runs under mixed faults for an hour, and what they came to: `make soak`.

    python tests/chaos/soak.py --minutes 60 --seed 0

Each run is killed, asked to leave, given a damaged checkpoint or a second writer, at random, and
started again until it ends; it must end as the run that nothing happened to. Prints a line for
each run, then a table; exit code 1 if one was lost or differs.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from nursery import MODELS, Nursery  # noqa: E402
from tiny_runs import host, metrics, restored  # noqa: E402

import jaxgen  # noqa: E402
from jaxgen.data import Data, load  # noqa: E402
from jaxgen.files import read_json  # noqa: E402

FAULTS = ("kill", "kill", "kill", "leave", "flip", "second")
FLAGS = {"steps": 1200, "log-every": 50, "checkpoint-every": 50, "evaluate-every": 400}
FLAGS |= {"sample-every": 400}
MOST_STARTS = 40


class Soak:
    """The runs of one soak."""

    def __init__(self, home, seed):
        self.home, self.dice, self.seen = home, random.Random(seed), Counter()
        self.tfds, self.goodput, self.references = str(home / "tfds"), [], {}
        load(Data(dir=self.tfds))

    def go(self, end):
        """Runs until the time is up."""
        with Nursery() as self.nursery, Nursery() as self.other:
            while time.monotonic() < end:
                model = self.dice.choice(list(MODELS))
                self.one(model, self.home / f"run{self.seen['runs']}")

    def one(self, model, folder):
        """One run to its end, and its comparison."""
        reference, seconds = self.reference(model)
        starts, code, faults = 0, None, Counter()
        while code != 0 and starts < MOST_STARTS:
            starts += 1
            fault = self.dice.choice(FAULTS) if starts < MOST_STARTS // 2 else None
            faults[fault] += fault is not None
            code = self.start(model, folder, fault, seconds)
        self.seen.update({"runs": 1, "starts": starts, **faults})
        same = code == 0 and self.same(folder, reference)
        self.seen["lost" if code else "differ"] += not same
        status = read_json(folder / "STATUS.json")
        self.goodput.append(status.get("goodput", 0.0))
        names = ", ".join(f"{n} x {name}" for name, n in sorted(faults.items()) if name)
        print(f"{model:5} {starts:2} starts, {names or 'no fault'}: "
              f"{'the same' if same else 'NOT the same'}, {status.get('lost_steps')} steps taken "
              f"again, goodput {self.goodput[-1]:.2f}", flush=True)  # fmt: skip
        if same:
            shutil.rmtree(folder)

    def start(self, model, folder, fault, seconds):
        """One process, with a fault on the way; its exit code."""
        if fault == "flip":
            self.flip(folder)
        pid = self.nursery.start(model, folder, self.tfds, flags=FLAGS)
        timer = None
        if fault in ("kill", "leave"):
            number = signal.SIGKILL if fault == "kill" else signal.SIGTERM
            timer = threading.Timer(self.dice.uniform(0, seconds), _send, (pid, number))
            timer.start()
        if fault == "second":
            self.other.start(model, folder, self.tfds, flags=FLAGS, log=str(self.home / "second"))
        code = self.nursery.wait()
        if timer:
            timer.cancel()
        if fault == "second":
            return min(code, self.other.wait())  # 0 and 2, unless the first had ended before
        return code

    def flip(self, folder):
        """One bit of the newest checkpoint."""
        steps = [p for p in (folder / "checkpoints").glob("*") if p.name.isdigit()]
        if len(steps) < 2:
            return
        newest = max(steps, key=lambda path: int(path.name))
        files = sorted(p for p in newest.rglob("*") if p.is_file() and p.stat().st_size)
        path = self.dice.choice(files)
        content = bytearray(path.read_bytes())
        content[self.dice.randrange(len(content))] ^= 1 << self.dice.randrange(8)
        path.write_bytes(content)

    def reference(self, model):
        """(what a run without faults ends as, the seconds it takes)."""
        if model not in self.references:
            folder = self.home / model
            for _ in range(2):  # the first one compiles for all
                shutil.rmtree(folder, ignore_errors=True)
                began = time.monotonic()
                assert self.nursery.run(model, folder, self.tfds, flags=FLAGS) == 0
            found = host(restored(jaxgen.load(folder).experiment, folder))
            self.references[model] = (found, metrics(folder)), time.monotonic() - began
        return self.references[model]

    def same(self, folder, reference):
        """Whether state and metrics are those of the reference, bit for bit."""
        found = host(restored(jaxgen.load(folder).experiment, folder))
        state, lines = reference
        equal = all((found[name] == value).all() for name, value in state.items())
        return equal and metrics(folder) == lines


def _send(pid, number):
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def main():
    """Soaks; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jaxgen-soak-") as home:
        soak = Soak(Path(home), given.seed)
        soak.go(time.monotonic() + 60 * given.minutes)
        seen = soak.seen
        faults = ", ".join(f"{seen[name]} {name}" for name in sorted(set(FAULTS)))
        print(
            f"\n{seen['runs']} runs, {seen['starts']} starts, seed {given.seed}; faults: {faults}"
        )
        mean = sum(soak.goodput) / max(1, len(soak.goodput))
        print(f"lost {seen['lost']}, different {seen['differ']}; goodput {mean:.2f} on average")
    return 1 if seen["lost"] or seen["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Real processes that start quickly: forks of one that has imported jax and made no backend of it.

As a script it reads requests, a line of JSON each, and answers with the pid, then the exit code:

    {"recipe": "vae_digits", "argv": [...], "log": "path", "env": {...},
     "patches": [["SIGTERM", "jaxgen.loop.validate:measure", 1, 0]],
     "mortal": {"folder": "path", "save": 4, "change": 17, "tally": "path"}}

A patch sends a signal to the process when it calls that function the n-th time, seconds later. Who
is mortal dies before a change of the files of a folder: the n-th since a save began.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMON = {
    "steps": 120,
    "batch-size": 16,
    "ema-decay": 0.9,
    "log-every": 10,
    "checkpoint-every": 5,
    "evaluate-every": 40,
    "sample-every": 40,
}
MODELS = {
    "vae": ("vae_digits", {"latent-dim": 2, "hidden": 16}),
    "nade": ("nade_digits", {"hidden": 8}),
    "gan": ("dcgan_digits", {"latent-dim": 4, "features": 4}),
}
_NOBODY = 2**30
_CHANGES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Nursery:
    """Starts forks, one at a time; a context manager."""

    def __init__(self):
        self._pid = _NOBODY
        env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=ROOT,
            env=env | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.stdin.close()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def start(self, model, folder, tfds_dir, **more):
        """A training in `folder`; its pid."""
        recipe, flags = MODELS[model]
        flags = COMMON | flags | {"workdir": folder, "data.dir": tfds_dir} | more.pop("flags", {})
        argv = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
        log = str(more.pop("log", Path(folder).with_suffix(".log")))
        request = {"recipe": recipe, "argv": argv, "log": log, **more}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        self._pid = json.loads(self._process.stdout.readline())["pid"]
        return self._pid

    def wait(self):
        """The exit code of the last one, negative for a signal."""
        self._pid = _NOBODY
        return json.loads(self._process.stdout.readline())["code"]

    def run(self, model, folder, tfds_dir, **more):
        """Starts one and waits."""
        self.start(model, folder, tfds_dir, **more)
        return self.wait()


def signal_in(name, place, call, delay):
    """Sends the signal to this process `delay` seconds after the n-th call of a function began."""
    module, _, path = place.partition(":")
    *owners, last = path.split(".")
    owner = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    original, calls = getattr(owner, last), [0]

    def send():
        Path(os.environ["SIGNALLED"]).write_text(str(time.time()))
        os.kill(os.getpid(), getattr(signal, name))

    def spied(*args, **kwargs):
        calls[0] += 1
        if calls[0] == int(call) and float(delay):
            threading.Timer(float(delay), send).start()
        elif calls[0] == int(call):
            send()
        return original(*args, **kwargs)

    setattr(owner, last, spied)


def die_at(folder, save, change, tally):
    """Kills this process before the n-th change in the folder since the k-th save began.

    With change 0 it lives; `tally` then has a line for each change up to the next save.
    """
    from orbax.checkpoint import CheckpointManager

    begin, calls, changes = CheckpointManager.save, [0], []

    def saved(*args, **kwargs):
        calls[0] += 1
        if calls[0] == save + 1:
            Path(tally).write_text("\n".join(changes))
        return begin(*args, **kwargs)

    def watch(event, args):
        if calls[0] >= save and _is_change(event, args, folder):
            changes.append(f"{event} {args[0]}")
            if len(changes) == change:
                os.kill(os.getpid(), signal.SIGKILL)

    CheckpointManager.save = saved
    sys.addaudithook(watch)


def _is_change(event, args, folder):
    """Whether Python is about to change a file or a folder in there."""
    if event not in _CHANGES or (event == "open" and not args[2] & _WRITING):
        return False
    within_an_open_folder = event in ("os.remove", "os.rmdir") and args[1] != -1
    return within_an_open_folder or str(args[0]).startswith(folder)


def _child(request):
    os.environ |= request.get("env", {})
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    for patch in request.get("patches", []):
        signal_in(*patch)
    if "mortal" in request:
        die_at(**request["mortal"])
    from jaxgen.cli import recipes
    from jaxgen.cli.main import launch

    recipe = recipes.find(request["recipe"]).function()
    code = 70
    try:
        code = launch(recipe, request["argv"])
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve():
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    from jaxgen.cli import recipes

    for recipe, _ in MODELS.values():
        recipes.find(recipe).function()
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            sys.stdin.close()
            _child(request)
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


@contextmanager
def many(num):
    """Several nurseries, to have two things going on at once."""
    made = [Nursery() for _ in range(num)]
    try:
        yield made
    finally:
        for nursery in made:
            nursery.__exit__()


if __name__ == "__main__":
    _serve()

"""The README tells the truth: its commands run, its example runs, its files are there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = "\n".join(blocks("bash")).splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of a few steps, made as the README makes it, with `make demo`."""
    folder = tmp_path_factory.mktemp("readme")
    installed = f"{sys.prefix}/.installed"  # never reinstall the environment that runs the tests
    command = ["make", "demo", f"VENV={sys.prefix}", f"RUN={folder}/runs/vae_digits", "STEPS=600"]
    as_a_user = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(
        [*command, "-o", installed],
        cwd=ROOT,
        env=as_a_user,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_make_demo_leaves_what_it_says(folder):
    run = folder / "runs" / "vae_digits"
    for name in ("samples.png", "reconstructions.png", "interpolation.png", "report.html"):
        assert (run / name).stat().st_size > 1000
    assert (run / "evaluation.json").exists()
    assert (run / "certificate.json").exists()


def test_second_make_demo_says_so_at_once(folder):
    run = folder / "runs" / "vae_digits"
    command = ["make", "demo", f"VENV={sys.prefix}", f"RUN={run}", "-o", f"{sys.prefix}/.installed"]
    before = (run / "report.html").stat().st_mtime_ns
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "nothing to do" in done.stdout
    assert "report.html" in done.stdout
    assert (run / "report.html").stat().st_mtime_ns == before


def done_by_demo() -> set[str]:
    """The commands of `make demo`, as a user would type them."""
    command = ["make", "-n", "-B", "demo", "VENV=.", "-o", "./.installed"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line.removeprefix("./bin/").strip() for line in lines.splitlines()}


def test_every_command_runs(folder):
    """Each command of the README, as it stands there but with few steps and this environment.

    What `make demo` has run in the fixture, word for word, is not run a second time.
    """
    bin_folder = Path(sys.executable).parent
    of_demo = done_by_demo()
    assert "jaxgen check runs/vae_digits" in of_demo
    for command in commands():
        words = shlex.split(command)
        if command in of_demo or words[0] in ("make", "git", "cd", "pip", "python3", "source"):
            continue  # the last make an environment
        words[0] = str(bin_folder / words[0])
        if words[1] == "train":
            words += ["--steps", "600" if "vae" in command else "20"]
        if "benchmark" in command:
            words += ["--smoke"]
        environment = {"PYTHONPATH": str(ROOT), "HOME": str(Path.home()), "PATH": "/usr/bin:/bin"}
        environment |= {name: value for name, value in os.environ.items() if "_CACHE_" in name}
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_the_python_example_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    examples = blocks("python")
    assert examples
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})


def test_every_file_that_it_names_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target

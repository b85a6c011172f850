"""The shape of the code in figures, which tests hold: `python tests/structure.py [PACKAGE]`.

A *room* is what a reader sees first, a module or a folder right under `jaxgen/`. An *arrow* is that
some file of one room imports something of another. Floors are from the top; arrows run downwards.
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[1] / "jaxgen"
if __name__ == "__main__" and sys.argv[1:]:
    ROOT = Path(sys.argv[1]).resolve()
FILES = sorted(ROOT.rglob("*.py"))

FAMILIES = {"autoregressive", "vae", "gan", "flow", "energy", "diffusion"}
# From the top; a file imports from floors below its own, or from its own room.
FLOORS = (
    {"jaxgen", "__main__"},  # the package itself: `jaxgen.load`, on first use
    {"cli"},
    {"check", "loop"},
    {"runs"},
    {"figures"},
    {"evaluation"},
    FAMILIES,
    {"nn", "experiment", "parallel"},
    {"data", "losses", "distributions", "step"},
    {"average", "first_batch"},
    {"state"},
    {"files"},
    {"console", "arguments", "fields", "precision"},
    {"typing"},
    {"errors"},
)
FLOOR = {name: i for i, floor in enumerate(FLOORS) for name in floor}
OUTSIDE = {"recipes"}  # of the wheel: experiments/ under another name, above all floors

Function = ast.FunctionDef | ast.AsyncFunctionDef


@lru_cache
def tree(file: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(file.read_text())


def short(file: Path) -> str:
    """Return the path of a file under `jaxgen/`."""
    return str(file.relative_to(ROOT))


def room(file: Path) -> str:
    """Return the name of the room that a file is in."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return "jaxgen" if parts == ("__init__",) else parts[0]


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imported(module: ast.AST) -> Iterator[str]:
    """Yield the rooms that a module imports something of when it runs, wherever in it."""
    for node in ast.iter_child_nodes(module):
        if not _is_for_types(node):
            yield from _named(node)
            yield from imported(node)


def _named(node: ast.AST) -> Iterator[str]:
    """Yield the rooms that one statement imports something of."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.startswith("jaxgen."):
                yield alias.name.split(".")[1]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "a relative import"
        package, *rest = (node.module or "").split(".")
        if package == "jaxgen":
            names = rest[:1] or [alias.name for alias in node.names]
            yield from (name for name in names if not name.startswith("__"))


def arrows() -> Counter[tuple[str, str]]:
    """Return {(from, to): files} over the rooms."""
    found: Counter[tuple[str, str]] = Counter()
    rooms = OUTSIDE | {room(file) for file in FILES}
    for file in FILES:
        for name in set(imported(tree(file))) - {room(file)}:
            found[room(file), name if name in rooms else "jaxgen"] += 1
    return found


def is_upward(source: str, target: str) -> bool:
    """Return whether an arrow does not run down to a lower floor."""
    return target in FLOOR and FLOOR[target] <= FLOOR[source]


def flat_modules() -> list[str]:
    """Return the modules right under `jaxgen/`."""
    return sorted(file.stem for file in ROOT.glob("*.py") if not file.stem.startswith("__"))


def functions(file: Path) -> list[Function]:
    """Return all functions of a file, those in classes and functions too."""
    return [node for node in ast.walk(tree(file)) if isinstance(node, Function)]


def body_lines(function: Function) -> int:
    """Return the number of lines of a body, without the docstring."""
    body = function.body
    if ast.get_docstring(function) and len(body) > 1:
        body = body[1:]
    last = body[-1]
    return (last.end_lineno or last.lineno) - body[0].lineno + 1


def _is_packed(node: ast.Assign) -> bool:
    return isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)


def density(files: list[Path]) -> dict[str, float]:
    """Return how packed the code of some files is.

    Tokens are names, operators and numbers, per line that holds one; a packed assignment is
    `a, b = x, y`; a comment has a line of its own.
    """
    lines: Counter[tuple[Path, int]] = Counter()
    comments = 0
    assignments = []
    lengths = []
    for file in files:
        for token in tokenize.generate_tokens(io.StringIO(file.read_text()).readline):
            if token.type == tokenize.COMMENT and token.line.strip().startswith("#"):
                comments += 1
            if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER):
                lines[file, token.start[0]] += 1
        assignments += [n for n in ast.walk(tree(file)) if isinstance(n, ast.Assign)]
        lengths += [body_lines(function) for function in functions(file)]
    packed = sum(map(_is_packed, assignments))
    return {
        "tokens a line": lines.total() / max(len(lines), 1),
        "packed assignments in %": 100 * packed / max(len(assignments), 1),
        "comments in 1000 lines": 1000 * comments / max(len(lines), 1),
        "functions over 30 lines in %": 100 * sum(n > 30 for n in lengths) / max(len(lengths), 1),
    }


def folders() -> dict[str, list[Path]]:
    """Return {room: files} of the folders, and of the flat modules together as 'jaxgen'."""
    found: dict[str, list[Path]] = {}
    for file in FILES:
        name = "jaxgen" if file.parent == ROOT else room(file)
        found.setdefault(name, []).append(file)
    return found


def main() -> None:
    """Print the figures."""
    found = arrows()
    known = [
        (a, b) for a, b in found if a in FLOOR and b != "jaxgen"
    ]  # an older tree has rooms without a floor
    upward = [f"{a} -> {b}" for a, b in known if is_upward(a, b)]
    rooms = {room(file) for file in FILES}
    print(f"{len(FILES)} files in {len(rooms)} rooms, {len(flat_modules())} of them flat modules")
    print(f"{len(found)} arrows between rooms, {len(upward)} of them upward {upward or ''}")
    print(f"\n{'folder':16} files {'  '.join(density([]))}")
    for name, files in folders().items():
        figures = density(files)
        values = "  ".join(f"{value:{len(key)}.1f}" for key, value in figures.items())
        print(f"{name:16} {len(files):5} {values}")
    values = "  ".join(f"{value:{len(key)}.1f}" for key, value in density(FILES).items())
    print(f"{'all':16} {len(FILES):5} {values}")


if __name__ == "__main__":
    main()

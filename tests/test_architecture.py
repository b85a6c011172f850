"""The shape of the code: floors, one place for gradients and for files, classes, documentation."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from structure import (
    FAMILIES,
    FILES,
    FLOOR,
    OUTSIDE,
    ROOT,
    arrows,
    body_lines,
    flat_modules,
    functions,
    imported,
    is_upward,
    room,
    short,
    tree,
)

MOST = {
    "flat modules": 14,
    "lines of a file": 300,
    "lines of a body": 40,
}
# Who may print, warn, and touch files. `data` notes what it leaves out; `parallel` says a last word
# when another process is lost.
MAY = {
    "print": {"console", "cli", "data", "loop", "parallel"},
    "warn": {"runs"},
    "files": {"files", "cli", "data", "figures", "loop", "runs"},
}
SPEAKERS = {
    "print",
    "say",
    "complain",
    "note",
    "stderr",
    "stdout",
    "__stderr__",
    "__stdout__",
    "input",
}
TOUCHING = {
    *("read_text", "read_bytes", "write_text", "write_bytes", "open", "fdopen", "mkdir", "unlink"),
    *("rmdir", "rmtree", "touch", "rename", "symlink_to", "iterdir", "glob", "rglob", "savefig"),
    *("savez", "savez_compressed", "tofile", "fromfile", "memmap", "mkdtemp", "NamedTemporaryFile"),
    *("loadtxt", "savetxt", "genfromtxt", "makedirs", "removedirs", "copyfile", "copytree"),
    *("copy2", "TemporaryDirectory", "TemporaryFile", "mkstemp", "scandir", "listdir"),
}


def own_writers():
    """Return the names of jaxgen's functions by which files are written and read."""
    in_files = [f.name for f in functions(ROOT / "files.py") if not f.name.startswith("_")]
    everywhere = [function.name for file in FILES for function in functions(file)]
    return {*in_files, *(name for name in everywhere if name.startswith(("write_", "save_")))}


WRITERS = own_writers()


def mentioned(module):
    """Return {name: line} of the names and attributes that a module uses or imports."""
    found = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Name):
            found.setdefault(node.id, node.lineno)
        if isinstance(node, ast.Attribute):
            found.setdefault(node.attr, node.lineno)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                found.setdefault(alias.name, node.lineno)
    return found


def called(module):
    """Return the names of what a module calls."""
    calls = [node.func for node in ast.walk(module) if isinstance(node, ast.Call)]
    return {getattr(func, "attr", getattr(func, "id", "")) for func in calls}


def trespasses(name, module):
    """Return what a module of a room does that only other rooms may do."""
    uses = mentioned(module)
    calls = called(module)
    found = []
    if name not in MAY["print"]:
        found += [f"speaks by {word}" for word in SPEAKERS & set(uses)]
    if name not in MAY["warn"]:
        found += [f"warns by {word}" for word in {"warn", "warn_explicit"} & calls]
    if name not in MAY["files"]:
        found += [f"touches files by {word}" for word in WRITERS & set(uses)]
        found += [f"touches files by {word}" for word in TOUCHING & calls]
        found += ["touches files by jaxgen.files"] if "files" in imported(module) else []
    return found


def test_only_the_rim_prints_and_touches_files():
    found = [
        f"{short(file)} {what}" for file in FILES for what in trespasses(room(file), tree(file))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("file", "line", "seen"),
    [
        ("losses", "from jaxgen.files import write_json", "touches files by write_json"),
        (
            "losses",
            "from jaxgen import files; files.write_json(x, 1)",
            "touches files by write_json",
        ),
        ("losses", "from jaxgen.figures.images import save_png", "touches files by save_png"),
        ("losses", "Path(x).write_text('')", "touches files by write_text"),
        ("step", "print(1, file=sys.stderr)", "speaks by print"),
        ("step", "import sys; sys.stderr.write('lost')", "speaks by stderr"),
        ("step", "from jaxgen.console import complain", "speaks by complain"),
        ("vae", "warnings.warn('now and then')", "warns by warn"),
    ],
)
def test_what_does_not_belong_in_a_file_is_seen(file, line, seen):
    assert seen in trespasses(file, ast.parse(line))


def test_every_file_has_a_floor():
    assert {room(file) for file in FILES} <= set(FLOOR)


def test_imports_run_downwards():
    """Also those inside functions; what the package exports is above all."""
    found = arrows()
    assert [f"{a} imports {b}" for a, b in found if is_upward(a, b)] == []
    known = set(FLOOR) | OUTSIDE
    assert [f"{a} imports {b}" for a, b in found if b not in known] == []
    assert len(found) > 50


def test_an_upward_arrow_is_seen():
    (name,) = imported(ast.parse("def later():\n    from jaxgen.runs import folder"))
    assert is_upward("losses", name)
    assert not is_upward("loop", name)


def test_the_map_of_the_package_is_short():
    assert len(flat_modules()) <= MOST["flat modules"]


def test_no_family_imports_another():
    crossing = [(a, b) for a, b in arrows() if a in FAMILIES and b in FAMILIES]
    assert crossing == []


def test_gradients_of_training_are_taken_in_one_place():
    assert [short(f) for f in FILES if "value_and_grad" in mentioned(tree(f))] == ["step.py"]


def test_no_two_test_files_have_one_name():
    names = [path.name for path in (ROOT.parent / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []  # pytest imports by it


def test_no_file_is_longer_than_300_lines():
    lengths = {short(file): len(file.read_text().splitlines()) for file in FILES}
    assert {k: n for k, n in lengths.items() if n > MOST["lines of a file"]} == {}


def test_no_function_body_is_longer_than_40_lines():
    lengths = {f"{short(file)}: {f.name}": body_lines(f) for file in FILES for f in functions(file)}
    assert {k: n for k, n in lengths.items() if n > MOST["lines of a body"]} == {}


def classes():
    """Return [(where, class)] of the package, those inside functions too."""
    pairs = [(file, node) for file in FILES for node in ast.walk(tree(file))]
    return [(f"{short(f)}: {n.name}", n) for f, n in pairs if isinstance(n, ast.ClassDef)]


def exported():
    """Return {name: classes} of what the packages export under that name."""
    found = {}
    for file in FILES:
        if file.name == "__init__.py" and file.parent != ROOT:
            package = importlib.import_module(".".join(file.relative_to(ROOT.parent).parts[:-1]))
            for name in getattr(package, "__all__", ()):
                if isinstance(getattr(package, name), type):
                    found.setdefault(name, set()).add(getattr(package, name))
    return found


def test_names_of_classes_are_unique():
    """On disk a class is its bare name."""
    table = exported()
    assert {"VAE", "GAN", "NADE"} <= set(table)
    assert {name: found for name, found in table.items() if len(found) > 1} == {}


def last_name(node):
    """Return C of C, a.b.C and C[...]."""
    node = node.value if isinstance(node, ast.Subscript) else node
    return getattr(node, "attr", getattr(node, "id", ""))


def decorated(function, word):
    """Return whether a function has the decorator."""
    return any(last_name(decorator) == word for decorator in function.decorator_list)


def lacking(cls, table):
    """Return the abstract methods of a class and its bases that it does not define."""
    methods = [node for node in cls.body if isinstance(node, ast.FunctionDef)]
    abstract = {node.name for node in methods if decorated(node, "abstractmethod")}
    defined = {node.name for node in methods} - abstract
    defined |= {n.target.id for n in cls.body if isinstance(n, ast.AnnAssign)}
    above = [lacking(table[last_name(b)], table) for b in cls.bases if last_name(b) in table]
    return abstract | (set().union(*above) - defined)


def is_abstract(cls, table):
    """Return whether a class is a base: by ABC, Protocol or a method that it leaves open."""
    words = {last_name(node) for node in [*cls.bases, *(k.value for k in cls.keywords)]}
    return bool(words & {"ABC", "ABCMeta", "Protocol"}) or bool(lacking(cls, table))


def chains(found):
    """Return which of the classes extend a concrete one."""
    table = {cls.name: cls for _, cls in found}
    return [
        f"{where} extends {last_name(base)}"
        for where, cls in found
        for base in cls.bases
        if last_name(base) in table and not is_abstract(table[last_name(base)], table)
    ]


def test_no_concrete_class_extends_a_concrete_one():
    """Errors are a tree of kinds and may."""
    assert chains([pair for pair in classes() if not pair[0].startswith("errors.py")]) == []


def test_a_chain_of_concrete_classes_is_seen():
    text = """
class Base(ABC):
    @abstractmethod
    def loss(self): ...
class Open(Base): ...
class GAN(Open):
    def loss(self): ...
class WGAN(GAN): ...
"""
    found = [(node.name, node) for node in ast.parse(text).body]
    assert chains(found) == ["WGAN extends GAN"]


def test_no_class_borrows_a_method():
    """`log_prob = chain_rule.log_prob` hides where a method comes from; extend an abstract base."""
    borrowed = [
        f"{where}: {ast.unparse(line)}"
        for where, cls in classes()
        for line in cls.body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Attribute | ast.Name)
    ]
    assert borrowed == []


def public(node):
    """Yield the public functions and classes of a file, and methods of its public classes."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.ClassDef) and not item.name.startswith("_"):
            yield item
            if isinstance(item, ast.ClassDef):
                yield from public(item)


def test_everything_public_is_documented():
    bare = [
        f"{short(file)}: {getattr(item, 'name', 'module')}"
        for file in FILES
        for item in [tree(file), *public(tree(file))]
        if not ast.get_docstring(item)
    ]
    assert bare == []


def kills_itself(module):
    """Return whether a module sends a signal to the process that it runs in."""
    calls = [ast.unparse(node) for node in ast.walk(module) if isinstance(node, ast.Call)]
    own = ("os.kill(os.getpid()", "signal.raise_signal(", "_thread.interrupt_main(")
    return any(call.startswith(own) for call in calls)


def test_no_test_interrupts_its_own_process():
    """It may fall into a callback of another library; the nursery's functions run in children."""
    tests = [path for path in Path(__file__).parent.rglob("*.py") if path.name != "nursery.py"]
    assert [path.name for path in tests if kills_itself(ast.parse(path.read_text()))] == []
    assert kills_itself(ast.parse("os.kill(os.getpid(), signal.SIGINT)"))


@pytest.mark.parametrize("module", ["jaxgen", "jaxgen.cli.main", "jaxgen.cli.verbs"])
def test_the_command_line_answers_before_jax_is_imported(module):
    code = f"import sys, {module}; print({{'jax', 'flax', 'numpy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

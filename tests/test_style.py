"""Code that breathes: a line is read once. The bounds are here, the measures in `structure.py`."""

import ast
import re

import pytest
from structure import FILES, ROOT, density, folders, functions, short, tree

MOST = {  # in each folder, and of the last in the whole package
    "tokens a line": 9.0,
    "packed assignments in %": 2.0,
    "functions over 30 lines in %": 3.0,
}
LEAST_COMMENTS = {"autoregressive": 15, "nn": 15}  # in 1000 lines

# A docstring of a function begins with a verb: none of these is one.
_OTHERS = """
    a an the of what whether how as which who when where why if unless while because
    in on at to from for by with without within between among over under after before beside until
    all any both each either every neither no none one two three four several some many most more
    this that these those it its their our his her there here
"""
NO_VERBS = set(_OTHERS.split())


@pytest.mark.parametrize("name", folders())
def test_no_folder_is_packed(name):
    found = density(folders()[name])
    bounds = ("tokens a line", "packed assignments in %")
    assert {key: found[key] for key in bounds if found[key] > MOST[key]} == {}


def test_few_functions_are_long():
    key = "functions over 30 lines in %"
    assert density(FILES)[key] <= MOST[key]


@pytest.mark.parametrize("name", LEAST_COMMENTS)
def test_shapes_and_reasons_are_said(name):
    assert density(folders()[name])["comments in 1000 lines"] >= LEAST_COMMENTS[name]


def fields(module):
    """Return the lines of class bodies: a default of a field may be a lambda."""
    classes = [node for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
    return {line for cls in classes for line in cls.body}


def named_lambdas(module):
    """Return the lines in which a lambda is bound to a name."""
    bound = [n for n in ast.walk(module) if isinstance(n, ast.Assign | ast.AnnAssign)]
    bound = [node for node in bound if isinstance(node.value, ast.Lambda)]
    return sorted({node.lineno for node in bound if node not in fields(module)})


def test_no_lambda_is_bound_to_a_name():
    found = {short(file): named_lambdas(tree(file)) for file in FILES}
    assert {file: lines for file, lines in found.items() if lines} == {}


def is_property(function):
    """Return whether a function is read like a field."""
    return any("property" in ast.unparse(d) for d in function.decorator_list)


def begins_with_a_verb(docstring):
    """Return whether the first word may be a verb."""
    first = re.match(r"[A-Z][a-z-]+\b", docstring)
    return bool(first) and first.group().lower() not in NO_VERBS


@pytest.mark.parametrize(
    ("docstring", "good"),
    [
        ("Return the mean of p(x | z), [B, *shape].", True),
        ("Of the labelled their class.", False),
        ("Whether there are other processes.", False),
        ("[B].", False),
        ("`num` samples.", False),
        ("64 samples.", False),
    ],
)
def test_a_verb_is_told_from_another_word(docstring, good):
    assert begins_with_a_verb(docstring) is good


def test_docstrings_of_functions_begin_with_a_verb():
    documented = [
        (file, function, ast.get_docstring(function))
        for file in FILES
        for function in functions(file)
        if ast.get_docstring(function) and not is_property(function)
    ]
    found = [f"{short(f)}: {g.name}: {d.splitlines()[0]}" for f, g, d in documented
             if not begins_with_a_verb(d)]  # fmt: skip
    assert found == []


ODD = {"of", "what", "whether", "how", "as", "which", "who", "when", "where", "why", "if"}


def documented(file):
    """Yield (name, docstring) of a module, its classes and functions, and the fields of a class."""
    for node in ast.walk(tree(file)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        name = getattr(node, "name", "the module")
        if ast.get_docstring(node):
            yield name, ast.get_docstring(node)
        if isinstance(node, ast.ClassDef):
            texts = [item.value for item in node.body[1:] if isinstance(item, ast.Expr)]
            texts = [text.value for text in texts if isinstance(text, ast.Constant)]
            yield from ((f"a field of {name}", text) for text in texts if isinstance(text, str))


def begins_oddly(docstring):
    """Return whether the first word makes the sentence a question's half, which is read twice."""
    return re.match(r"\W*(\w*)", docstring).group(1).lower() in ODD


@pytest.mark.parametrize("text", ["What a run trains.", "Of one example.", "How it is drawn: ..."])
def test_half_a_question_is_told(text):
    assert begins_oddly(text)
    assert not begins_oddly("The shape of one example.")


def test_no_docstring_of_a_module_a_class_or_a_property_is_half_a_question():
    beside = [ROOT.parent / name for name in ("experiments", "benchmarks")]
    files = [*FILES, *(file for folder in beside for file in sorted(folder.rglob("*.py")))]
    assert len(files) > len(FILES) + 20
    found = [
        f"{file.relative_to(ROOT.parent)}: {name}: {text.splitlines()[0]}"
        for file in files
        for name, text in documented(file)
        if begins_oddly(text)
    ]
    assert found == []


def outermost(node):
    """Yield the functions of a module and of its classes, not those inside functions."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            yield item
        if isinstance(item, ast.ClassDef):
            yield from outermost(item)


def unannotated(function):
    """Return what of a function's signature has no type."""
    args = function.args
    given = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    bare = [arg.arg for arg in given if arg and not arg.annotation]
    bare = [name for name in bare if name not in ("self", "cls")]
    constructor = function.name == "__init__"
    return bare + ([] if function.returns or constructor else ["the result"])


def test_every_function_is_annotated():
    found = [
        f"{short(file)}: {function.name}: {', '.join(unannotated(function))}"
        for file in FILES
        for function in outermost(tree(file))
        if unannotated(function)
    ]
    assert found == []

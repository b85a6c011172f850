"""Ways to break an expression: what `mutants.py` does to the arithmetic of a file.

Left as they are, for another value is equally right or says nothing of what is computed: messages,
annotations and checks of arguments; the number that is folded into a key, which is another stream;
and a default other than 0 and 1 of an argument or a field, a width or a rate (64, 5, 1e-3). The
defaults 0 and 1 switch something off, and are broken.
"""

import ast
import copy
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

NUM = 20  # mutants of each file, where there are as many

NAMES = {  # of functions, for one another
    "mean": "sum",
    "sum": "mean",
    "maximum": "minimum",
    "minimum": "maximum",
    "max": "min",
    "min": "max",
    "argmax": "argmin",
    "argmin": "argmax",
    "exp": "expm1",
    "log": "log1p",
    "log1p": "log",
    "expm1": "exp",
    "square": "abs",
    "abs": "square",
    "sqrt": "square",
    "softplus": "relu",
    "floor": "ceil",
    "cumsum": "cumprod",
    "logical_and": "logical_or",
}
# Calls whose arguments' order does not matter, or only to who reads the traceback.
UNORDERED = {
    *("maximum", "minimum", "logaddexp", "asarray", "reshape", "fold_in", "isinstance"),
    *("broadcast_to", "broadcast_shapes", "zip", "getattr", "split", "require_within"),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}


class Mutant(NamedTuple):
    """A broken file.

    Attributes:
      name: where, what it was and what it is now.
      kind: of the change.
      source: the whole file.
    """

    name: str
    kind: str
    source: str


def mutants(file: Path, num: int = NUM) -> list[Mutant]:
    """Return that many mutants of a file, of all kinds in turn; fewer where it has fewer."""
    tree = ast.parse(file.read_text())
    by_kind: dict[str, list[Mutant | None]] = defaultdict(list)
    seen = {ast.unparse(tree)}
    left = _left_out(tree)
    for place, node in _arithmetic(tree):
        for kind, changed in _changes(node):
            broken = _replaced(tree, node, changed)
            if broken in seen:
                continue
            seen.add(broken)
            name = f"{place}: {_short(node)} -> {_short(changed)}"
            by_kind[kind].append(None if node in left else Mutant(name, kind, broken))
    draw = random.Random(f"{file.parent.name}/{file.name}")
    for kind in sorted(by_kind):
        draw.shuffle(by_kind[kind])
    chosen: list[Mutant] = []
    while len(chosen) < num and any(by_kind.values()):
        for kind in sorted(by_kind):
            mutant = by_kind[kind].pop() if by_kind[kind] else None
            if mutant and len(chosen) < num:
                chosen.append(mutant)
    return chosen


def _left_out(tree: ast.Module) -> set[ast.AST]:
    """Return the numbers of which others are equally right."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        defaults: list[ast.AST | None] = []
        if isinstance(node, ast.arguments):
            defaults = [*node.defaults, *node.kw_defaults]
        elif isinstance(node, ast.ClassDef):
            defaults = [field.value for field in node.body if _is_setting(field)]
        found |= {x for x in defaults if isinstance(x, ast.Constant) and x.value not in (0, 1)}
        if isinstance(node, ast.Call) and _called(node) == "fold_in":
            found |= {x for x in node.args if isinstance(x, ast.Constant)}
    return found


def _is_setting(node: ast.stmt) -> TypeGuard[ast.AnnAssign]:
    """Return whether it is a field of a class; a constant of it (ClassVar) is none."""
    return isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation)


def _short(node: ast.AST) -> str:
    return ast.unparse(node).replace("\n", " ")[:90]


def _arithmetic(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Give the expressions of a file in which something is computed, and where they are."""

    def walk(node: ast.AST, place: str) -> Iterator[tuple[str, ast.AST]]:
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "bases", "type_params"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_talk(child):
                    inner = getattr(child, "name", "") if isinstance(child, _SCOPES) else ""
                    below = f"{place}.{inner}".strip(".") if inner else place
                    yield below, child
                    yield from walk(child, below)

    yield from walk(tree, "")


_SCOPES = (ast.FunctionDef, ast.ClassDef)


def _is_talk(node: ast.AST) -> bool:
    """Return whether a node computes nothing: messages, checks of arguments, type aliases."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert):
        return True
    if isinstance(node, ast.If) and all(isinstance(x, ast.Raise) for x in node.body):
        return True
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        return node.value.id in ("Callable", "Mapping", "Float", "Int", "Literal", "tuple", "dict")
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and _called(call).startswith("require")


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Give each way to break an expression, and its kind."""
    if isinstance(node, ast.BinOp):
        if type(node.op) in OPERATORS:
            yield "operator", _with(node, op=OPERATORS[type(node.op)]())
        if isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
            yield "dropped", node.left
            yield "dropped", node.right
        if isinstance(node.op, ast.Add | ast.Sub):
            doubled = ast.BinOp(ast.Constant(2), ast.Mult(), node.right)
            yield "doubled", _with(node, right=doubled)
        if isinstance(node.op, ast.Sub | ast.Div | ast.MatMult):
            yield "exchanged", _with(node, left=node.right, right=node.left)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield "sign", node.operand
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        ops = [COMPARISONS[type(node.ops[0])](), *node.ops[1:]]
        yield "comparison", _with(node, ops=ops)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield "constant", ast.Constant(node.value + 1)
        if node.value and isinstance(node.value, float):
            yield "constant", ast.Constant(2 * node.value)
    elif isinstance(node, ast.Return) and node.value is not None:
        return
    elif isinstance(node, ast.Call):
        yield from _broken_calls(node)


def _broken_calls(node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    name = _called(node)
    if name in NAMES:
        func = copy.deepcopy(node.func)
        if isinstance(func, ast.Attribute):
            func.attr = NAMES[name]
        elif isinstance(func, ast.Name):
            func.id = NAMES[name]
        yield "function", _with(node, func=func)
    if name == "stop_gradient":
        yield "dropped", node.args[0]
    plain = [x for x in node.args if not isinstance(x, ast.Starred)]
    if len(plain) == len(node.args) >= 2 and name not in UNORDERED:
        yield "arguments", _with(node, args=[node.args[1], node.args[0], *node.args[2:]])
    for i, keyword in enumerate(node.keywords):
        if keyword.arg == "axis":
            axis = ast.unparse(keyword.value)
            other = ast.Constant(0) if axis != "0" else ast.UnaryOp(ast.USub(), ast.Constant(1))
            others = [*node.keywords[:i], ast.keyword("axis", other), *node.keywords[i + 1 :]]
            yield "axis", _with(node, keywords=others)


def _with(node: Any, **changed: Any) -> Any:
    """Return a copy of a node with other fields."""
    fields = {name: getattr(node, name) for name in node._fields if hasattr(node, name)}
    return type(node)(**{**fields, **changed})


def _replaced(tree: ast.Module, old: ast.AST, new: ast.AST) -> str:
    """Return the source of a tree with one node in the place of another."""

    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            return new if node is old else self.generic_visit(node)

        def generic_visit(self, node: ast.AST) -> ast.AST:
            fields = {}
            for name, value in ast.iter_fields(node):
                if isinstance(value, list):
                    fields[name] = [self.visit(x) if isinstance(x, ast.AST) else x for x in value]
                else:
                    fields[name] = self.visit(value) if isinstance(value, ast.AST) else value
            return ast.copy_location(type(node)(**fields), node)

    return ast.unparse(ast.fix_missing_locations(Replace().visit(tree)))

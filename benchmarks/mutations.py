"""Faults that may be planted in a module's syntax tree, for `benchmarks.mutants`.

An operator of arithmetic, comparison or logic is another, a condition is negated, an integer is one
more or less, a float is doubled, True is False, a statement is dropped, None is returned, the first
two arguments of a call are exchanged, an end of a slice is left out, min is max, any is all.

Not touched, as no behaviour is in it or none that a test should hold: docstrings, annotations,
decorators, assertions, `__all__`, texts, what is raised (but the raising is dropped), logging, and
the keywords `SILENT`, which decide speed, looks, or what happens to a mistake of ours.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import Any

SILENT = {"strict", "non_blocking", "pin_memory", "persistent_workers", "exist_ok", "parents",
          "desc", "leave", "stacklevel", "logger"}  # fmt: skip
LOGS = {"log", "logger", "warnings", "print", "rank_zero_warn", "rank_zero_info"}
OTHER: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Mod: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
SKIPPED = {"annotation", "returns", "decorator_list", "exc", "cause"}
Fault = tuple[str, int, ast.AST, ast.AST]  # in words, line, the node, what takes its place


def visited(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below one in which a fault may be planted."""
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or name in SKIPPED or _silent(child):
                continue
            yield child
            yield from visited(child)


def _silent(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) or _silent(node.value)
    if isinstance(node, ast.Call):
        return ast.unparse(node.func).split(".")[0] in LOGS
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) == "__all__"
    silent = isinstance(node, ast.keyword) and node.arg in SILENT
    return silent or isinstance(node, ast.Assert | ast.JoinedStr)


def _with(node: Any, **fields: Any) -> Any:  # noqa: ANN401
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def faulty(node: Any) -> Iterator[ast.AST]:  # noqa: ANN401  (any kind of node)
    """Yield what may stand in a node's place."""
    operator = type(getattr(node, "op", None))
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and operator in OTHER:
        yield _with(node, op=OTHER[operator]())
    if isinstance(node, ast.Compare):
        yield _with(node, ops=[OTHER[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.UnaryOp) and operator in (ast.Not, ast.USub):
        yield node.operand
    if isinstance(node, ast.If | ast.While | ast.IfExp) and "TYPE_CHECKING" not in ast.dump(node):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.Expr | ast.AugAssign | ast.Raise) or _stores(node):
        yield ast.Pass()
    if isinstance(node, ast.Return) and node.value and ast.unparse(node.value) != "None":
        yield _with(node, value=ast.Constant(None))
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in NAMES:
        yield _with(node, id=NAMES[node.id])
    yield from _parts(node)


def _stores(node: Any) -> bool:  # noqa: ANN401
    kinds = ast.Attribute | ast.Subscript
    return isinstance(node, ast.Assign) and all(isinstance(t, kinds) for t in node.targets)


def _parts(node: Any) -> Iterator[ast.AST]:  # noqa: ANN401
    value = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield from (ast.Constant(value + 1), ast.Constant(value - 1))
    elif isinstance(value, float):
        yield ast.Constant(value * 2 if value else 1.0)
    if isinstance(node, ast.Call) and len(node.args) > 1:
        first, second, *rest = node.args
        alike = ast.dump(first) == ast.dump(second)
        if not (alike or isinstance(first, ast.Starred) or isinstance(second, ast.Starred)):
            yield _with(node, args=[second, first, *rest])
    if isinstance(node, ast.Slice):
        yield from (_with(node, **{end: None}) for end in ("lower", "upper") if getattr(node, end))


def faults_of(tree: ast.Module) -> list[Fault]:
    """Return all faults that may be planted in a module, always in the same order."""
    found = []
    for node in visited(tree):
        for other in faulty(node):
            before, after = (ast.unparse(n).splitlines()[0] for n in (node, other))
            found.append((f"{before} -> {after}", getattr(node, "lineno", 0), node, other))
    return found


def plant(tree: ast.Module, index: int) -> ast.Module:
    """Return the module with one of its faults."""
    _, _, node, other = faults_of(tree)[index]

    class Planter(ast.NodeTransformer):
        def visit(self, at: ast.AST) -> Any:  # noqa: ANN401
            return ast.copy_location(other, node) if at is node else self.generic_visit(at)

    return ast.fix_missing_locations(Planter().visit(tree))

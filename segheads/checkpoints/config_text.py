"""The text of a config in a checkpoint, read as data: nothing in it runs."""

import ast
from typing import Any

from .file_format import CheckpointError


def read_config_text(text: str) -> dict[str, Any]:
    """Reads the text of a config that holds nothing but values, as MMEngine writes it.

    Assignments of constants, lists, tuples, sets, dicts and calls of ``dict(...)`` with keywords
    are read; anything else could run code.

    Args:
        text (str): As ``Config.pretty_text`` gives it.

    Returns:
        dict[str, Any]: Values by name.

    Raises:
        CheckpointError: If there is anything else in it; the text follows 'it'.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CheckpointError('holds a config that is no text of MMEngine') from error
    values = {}
    for statement in statements:
        is_assignment = isinstance(statement, ast.Assign) and len(statement.targets) == 1
        if not is_assignment or not isinstance(statement.targets[0], ast.Name):
            raise CheckpointError(f'holds a config with code in line {statement.lineno}')
        values[statement.targets[0].id] = _value(statement.value)
    return values


def is_harmless(text: str, modules: frozenset[str]) -> bool:
    """Tells whether MMEngine may execute the text of a config.

    Args:
        text (str): The text.
        modules (frozenset[str]): Modules that it may import: those that are imported already.

    Returns:
        bool: Whether it holds values only, inherits nothing, imports nothing else, and has none of
        the braces that MMEngine fills in before it executes the text.
    """
    if '{{' in text:
        return False
    try:
        values = read_config_text(text)
    except CheckpointError:
        return False
    if '_base_' in values:
        return False
    imports = values.get('custom_imports') or {}
    names = imports.get('imports', ()) if isinstance(imports, dict) else ()
    names = [names] if isinstance(names, str) else names
    return isinstance(names, (list, tuple)) and all(
        isinstance(name, str) and name in modules for name in names
    )


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        number = _value(node.operand)
        if isinstance(number, (int, float, complex)):
            return -number if isinstance(node.op, ast.USub) else number
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(_value(element) for element in node.elts)
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = (_value(key) for key in node.keys)
        return dict(zip(keys, map(_value, node.values), strict=True))
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    if is_call and node.func.id == 'dict' and not node.args:
        if all(keyword.arg is not None for keyword in node.keywords):
            return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    raise CheckpointError(f'holds a config with code in line {node.lineno}')

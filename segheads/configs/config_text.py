"""The text of a config, read as data: values only, and nothing in it is executed.

Checkpoints carry the config that they were trained with as MMEngine prints it: assignments of
values, without ``_base_`` and without code.
"""

import ast
from typing import Any

from segheads.mistakes import UserMistake

MOST_CHARACTERS = 4_000_000
CONSTANTS = {'inf': float('inf'), 'nan': float('nan')}


class NotData(ValueError):
    """Something in the text is no value; the message says what and where."""


def parse_config_text(text: str, source: str) -> dict[str, Any]:
    """Reads assignments of values: ``name = dict(key=[1, 'two', None])``.

    Args:
        text (str): Assignments of constants, lists, tuples, sets, dicts in braces and calls of
            ``dict`` with keywords.
        source (str): Where it is from, for the sentence.

    Returns:
        dict: Values by name.

    Raises:
        UserMistake: If the text holds anything else, such as an import, a call or a loop.
    """
    try:
        if len(text) > MOST_CHARACTERS:
            raise NotData(f'it has {len(text):,} characters')
        config: dict[str, Any] = {}
        for statement in ast.parse(text).body:
            name, value = _assignment(statement)
            config[name] = _value(value)
        return config
    except NotData as error:
        reason = str(error)
    except SyntaxError as error:
        reason = f'{error.msg} in line {error.lineno}'
    except (ValueError, RecursionError, MemoryError) as error:  # zero bytes; nested too deeply
        reason = str(error) or 'it is nested too deeply'
    raise UserMistake(
        f'the config in {source} cannot be read as values ({reason}); name the config as well'
    )


def _assignment(statement: ast.stmt) -> tuple[str, ast.expr]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name):
            return target.id, statement.value
    raise NotData(f'line {statement.lineno} is no assignment of a value to a name')


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value) if value is not Ellipsis:
            return value
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _value(operand)
            if isinstance(value, (int, float)):
                return -value
        case ast.List(elts=elements):
            return [_value(element) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_value(element) for element in elements)
        case ast.Set(elts=elements):
            return {_hashable(element) for element in elements}
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {_hashable(k): _value(v) for k, v in zip(keys, values, strict=True)}
        case ast.Call(func=ast.Name(id='dict'), args=[], keywords=keywords) if all(
            keyword.arg for keyword in keywords
        ):
            return {keyword.arg: _value(keyword.value) for keyword in keywords}
    raise NotData(f'line {node.lineno} holds {type(node).__name__}, which is no plain value')


def _hashable(node: ast.expr) -> Any:
    value = _value(node)
    try:
        hash(value)
    except TypeError:
        raise NotData(f'line {node.lineno} has a key that is no plain value') from None
    return value

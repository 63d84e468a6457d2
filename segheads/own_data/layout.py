"""Values as text that people read and edit: short ones in a line, long ones in several."""

from typing import Any

WIDTH = 100
INDENT = 4


class Name(str):
    """A piece of a config that stands as it is, such as the name of a value above."""

    def __repr__(self) -> str:
        return str(self)


def assign(**values: Any) -> str:
    """Writes values as assignments.

    Args:
        **values (Any): Dicts, lists, tuples, constants and :class:`Name` by the name to assign to.

    Returns:
        str: A line or several for each.
    """
    return ''.join(
        f'{name} = {written(value, 0, len(name) + 3)}\n' for name, value in values.items()
    )


def written(value: Any, indent: int, used: int) -> str:
    """Writes a value.

    Args:
        value (Any): The value.
        indent (int): Spaces before the line that it stands in.
        used (int): Characters of that line before it.

    Returns:
        str: The text; lines after the first one are indented.
    """
    brackets, items = _parts(value)
    flat = brackets[0] + ', '.join(f'{key}{_flat(item)}' for key, item in items) + brackets[1]
    if not items or used + len(flat) + 1 <= WIDTH:
        return flat if brackets != '()' or len(items) != 1 else f'{flat[:-1]},)'
    deeper = indent + INDENT
    lines = [
        f'{" " * deeper}{key}{written(item, deeper, deeper + len(key))},\n' for key, item in items
    ]
    return f'{brackets[0]}\n{"".join(lines)}{" " * indent}{brackets[1]}'


def _flat(value: Any) -> str:
    return written(value, 0, -1_000_000)


def _parts(value: Any) -> tuple[tuple[str, str] | str, list[tuple[str, Any]]]:
    """Returns what encloses a value, and what is inside with the text before each."""
    if isinstance(value, dict):
        if all(str(key).isidentifier() for key in value):
            return ('dict(', ')'), [(f'{key}=', item) for key, item in value.items()]
        return '{}', [(f'{key!r}: ', item) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return '[]' if isinstance(value, list) else '()', [('', item) for item in value]
    return (repr(value), ''), []

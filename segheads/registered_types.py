"""What a part of a config builds, however its type is written.

A type is the name in a registry (``'IoUMetric'``), the same with a scope (``'mmseg.IoUMetric'``, or
``_scope_`` beside it), the full name of a class (``'mmseg.evaluation.IoUMetric'``), or, where a
config is pure Python, the class itself. Comparing it with one of these misses the others.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

from mmengine.registry import Registry


def type_of(part: Any, registry: Registry) -> Any:
    """Finds the class, or the function, that a part of a config is built by.

    Args:
        part (Any): A part of a config.
        registry (Registry): The registry that builds it, one of ``mmseg.registry``.

    Returns:
        Any: What builds it; None if the part has no type, or one that the registry does not know.
    """
    name = part.get('type') if isinstance(part, Mapping) else None
    if not isinstance(name, str):
        return name
    scope = part.get('_scope_')
    try:
        if not scope:
            return registry.get(name)
        with registry.switch_scope_and_registry(scope) as of_scope:
            return of_scope.get(name)  # or what the registries above it know
    except RuntimeError:  # it looks like a path of modules, and is none
        return None


def is_type(part: Any, registry: Registry, *classes: type) -> bool:
    """Tells whether a part of a config builds an object of one of some classes.

    Args:
        part (Any): A part of a config.
        registry (Registry): The registry that builds it, one of ``mmseg.registry``.
        *classes (type): The classes; those derived from them count too.

    Returns:
        bool: Whether it does.
    """
    found = type_of(part, registry)
    return isinstance(found, type) and issubclass(found, classes)


def set_type(part: MutableMapping[str, Any], name: str) -> None:
    """Lets a part of a config build something else.

    Args:
        part (MutableMapping): A part of a config; it is changed in place.
        name (str): A type that MMSegmentation's registries know.
    """
    part.pop('_scope_', None)
    part['type'] = name


def type_name(part: Mapping[str, Any]) -> str:
    """Returns the name of the class that a part of a config builds, without modules and scope."""
    found = part['type']
    return found.rpartition('.')[2] if isinstance(found, str) else found.__name__

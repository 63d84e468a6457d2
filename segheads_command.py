"""Starts the ``segheads`` command, and answers mistaken arguments before PyTorch is imported.

Importing a part of a package runs the package's ``__init__`` first, and that of segheads registers
everything with MMSegmentation, which takes seconds. This file lies beside the package: it puts the
package in place as Python does, but runs it only once the arguments are sound.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

Arguments = Sequence[str] | None


def main(arguments: Arguments = None) -> None:
    """Runs a command of segheads and ends the process as the command ends.

    Args:
        arguments (Sequence[str] | None): Name of the command and its arguments; None for those of
            the process.

    Raises:
        SystemExit: With code 2 after a mistake, or as the command ends.
    """
    waiting = place_package()
    from segheads import commands

    options = commands.parse(sys.argv[1:] if arguments is None else arguments)
    commands.prepare_process()

    def run() -> None:
        if waiting is not None and options.loads_package:
            waiting.__spec__.loader.exec_module(waiting)
        commands.run(options)

    commands.run_and_exit(run)


def as_function(name: str) -> Callable[[Arguments], None]:
    """Returns a command as a function that raises its errors, for callers in Python.

    Args:
        name (str): Name of the command.

    Returns:
        Callable: Takes the arguments of the command; None for those of the process.
    """

    def run(arguments: Arguments = None) -> None:
        import segheads.commands as commands

        given = sys.argv[1:] if arguments is None else arguments
        commands.run(commands.parse([name, *map(str, given)]))

    return run


def place_package() -> ModuleType | None:
    """Puts segheads into ``sys.modules`` without running it; None if it has been imported."""
    if 'segheads' in sys.modules:
        return None
    spec = importlib.util.find_spec('segheads')
    package = importlib.util.module_from_spec(spec)
    sys.modules['segheads'] = package
    return package


if __name__ == '__main__':
    main()

"""The ``segheads`` command: a file per command, each with its arguments and what it runs.

A command's module imports nothing slow when it is imported, and what it needs when it runs, so that
``--help`` and mistaken arguments are answered at once.
"""

import argparse
import importlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NamedTuple

from segheads.freed_memory import keep_freed_memory
from segheads.mistakes import UserMistake, sentence_for
from segheads.ranks import local_rank
from segheads.version import __version__


class Command(NamedTuple):
    """A command, as it is listed.

    Attributes:
        help (str): What it does, in some words.
        module (str | None): Its module, if that has another name. Default: None.
        loads_package (bool): Whether it needs segheads registered with MMSegmentation.
            Default: True.
    """

    help: str
    module: str | None = None
    loads_package: bool = True


COMMANDS = {
    'import': Command('convert the annotations of any tool into a data set'),
    'train': Command('train a model'),
    'test': Command('evaluate a checkpoint by the metrics of its config'),
    'predict': Command('predict class maps of images and videos, and draw them'),
    'export': Command('write a model as ONNX, torch.export or TorchScript'),
    'check-speed': Command(
        'time models and exported files side by side', 'check_speed', loads_package=False
    ),
    'check': Command('read all data of a config and say what is wrong with it'),
    'report': Command('write a page about one or several training runs'),
    'serve': Command('show models on a local web page'),
    'convert': Command('write a released checkpoint in our names'),
    'publish': Command('make a checkpoint ready to be shared'),
    'download': Command('fetch pretrained encoders', loads_package=False),
    'inspect': Command('list what is in a checkpoint'),
    'models': Command('list the models by name'),
    'info': Command('print what a report of a bug needs'),
}
# Measured by benchmarks/waiting.py: as fast as PyTorch's default on an idle machine, and not
# several times slower than sleeping threads on a busy one.
SPINS_BEFORE_SLEEPING = 10_000
SECONDS_FOR_THE_FIRST = 10.0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses a command line, without importing anything slow.

    Args:
        arguments (Sequence[str]): Name of the command and its arguments.

    Returns:
        argparse.Namespace: The arguments; besides, ``command``, ``loads_package`` and the
        ``arguments`` as they were.

    Raises:
        SystemExit: With code 2 and a line on stderr if there is a mistake, with 0 after ``--help``.
    """
    parser = argparse.ArgumentParser(
        prog='segheads',
        description='Five published decode heads for semantic segmentation.',
        epilog='`segheads COMMAND --help` explains a command.',
    )
    parser.add_argument('--version', action='version', version=f'segheads {__version__}')
    parsers = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    check: Callable[[argparse.Namespace], None] | None = None
    named = next((text for text in arguments if not text.startswith('-')), None)
    for name, command in COMMANDS.items():
        if name != named:
            parsers.add_parser(name, help=command.help)
            continue
        module = _module(name)
        own = parsers.add_parser(
            name,
            help=command.help,
            description=module.__doc__.partition('\n\nExample:')[0],
            epilog='Example:' + module.__doc__.partition('\n\nExample:')[2].rstrip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(own)
        check = getattr(module, 'check_arguments', None)
        own.set_defaults(loads_package=command.loads_package, arguments=list(arguments))
    options = parser.parse_args(arguments)
    if check is not None:
        try:
            check(options)
        except UserMistake as mistake:
            parser.error(str(mistake))
    return options


def run(options: argparse.Namespace) -> None:
    """Runs a command.

    Args:
        options (argparse.Namespace): As :func:`parse` returns them.
    """
    _module(options.command).run(options)


def prepare_process() -> None:
    """Sets what must be set before PyTorch is imported, unless the user has set anything of it.

    Threads of OpenMP wait for their next work by spinning for a moment only, and freed memory is
    kept; see docs/benchmarks.md. Of the warnings those of segheads itself stay.
    """
    if not any(name.startswith(('OMP_WAIT_POLICY', 'GOMP_')) for name in os.environ):
        os.environ['GOMP_SPINCOUNT'] = str(SPINS_BEFORE_SLEEPING)
    keep_freed_memory()
    if not sys.warnoptions:
        warnings.simplefilter('ignore')
        warnings.filterwarnings('default', module='segheads')


def run_and_exit(command: Callable[[], None]) -> None:
    """Runs a command and ends the process as the command ends.

    A mistake of the user ends it with exit code 2 and one sentence on stderr; of several processes
    on a machine that make it the first one speaks. An interruption ends it with the code that
    shells expect after the signal.

    Args:
        command (Callable): What to run.

    Raises:
        SystemExit: With the code, unless it is 0.
    """
    try:
        command()
        _leave_process_group()
    except KeyboardInterrupt as interruption:
        _leave_process_group()
        if str(interruption) and local_rank() == 0:
            print(interruption, file=sys.stderr, flush=True)
        sys.exit(getattr(interruption, 'exit_code', 130))
    except Exception as error:
        sentence, speaks = _agree_on_last_words(sentence_for(error))
        if sentence is None:
            raise
        if speaks:
            print(f'error: {sentence}', file=sys.stderr, flush=True)
        sys.exit(2)


def _agree_on_last_words(sentence: str | None) -> tuple[str | None, bool]:
    last_words = sys.modules.get('segheads.training.last_words')
    agreed = last_words and last_words.agree_on_last_words(sentence)
    if agreed:
        return agreed
    if sentence is not None and local_rank() != 0:
        # The first process speaks, if it is wrong there too, and the launcher ends the others.
        time.sleep(SECONDS_FOR_THE_FIRST)
    return sentence, True


def _leave_process_group() -> None:
    if processes := sys.modules.get('segheads.training.processes'):
        processes.leave_process_group()


def _module(name: str) -> ModuleType:
    command = COMMANDS[name]
    return importlib.import_module(f'.{command.module or name}', __name__)

"""What the training and the testing tool share: arguments, building, ending."""

import argparse
import re
import sys
from collections.abc import Callable

from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from .environment import local_rank
from .mistakes import UserMistake, sentence_for


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that MMSegmentation's training and testing tools share.

    Args:
        parser (argparse.ArgumentParser): The parser of a tool.
    """
    parser.add_argument('--work-dir', help='where logs, metrics and checkpoints are written')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        type=_setting,
        metavar='KEY=VALUE',
        help='settings of the config to override, e.g. model.decode_head.num_classes=19; lists '
        'are written key="[a,b]" or key=a,b, without spaces',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes of a distributed run',
    )
    # Old launchers pass it; torchrun, Slurm and MPI set variables instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)


def build_runner(cfg: Config) -> Runner:
    """Builds the Runner of a config.

    Args:
        cfg (Config): The complete config.

    Returns:
        Runner: MMEngine's Runner, or the one that ``runner_type`` in the config names.

    Raises:
        UserMistake: If a part of the config has an argument that its class does not know, or is
            refused by an assertion with a message, as MMSegmentation checks its arguments.
    """
    try:
        return Runner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)
    except TypeError as error:
        unknown = re.search(r"(\S+)\.__init__\(\) got an unexpected keyword.* '(\w+)'", str(error))
        if unknown is None:
            raise
        raise UserMistake(
            f'{cfg.filename}: {unknown[1]} takes no argument {unknown[2]!r}; correct its name or '
            'remove it from the config'
        ) from error
    except AssertionError as error:
        if not str(error):
            raise
        raise UserMistake(f'{cfg.filename}: {error}') from error


def run_tool(tool: Callable[[], None]) -> None:
    """Runs a command-line tool and ends the process.

    A mistake of the user ends it with exit code 2 and one sentence on stderr; of several processes
    on a machine only the first one speaks.

    Args:
        tool (Callable): The tool's main function.
    """
    try:
        tool()
    except Exception as error:
        sentence = sentence_for(error)
        if sentence is None:
            raise
        if local_rank() == 0:
            print(f'error: {sentence}', file=sys.stderr, flush=True)
        sys.exit(2)


def _setting(text: str) -> str:
    if '=' not in text:
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form KEY=VALUE')
    return text

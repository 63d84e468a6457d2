"""What the training and the testing tool share: arguments, building, ending."""

import argparse
import sys
from collections.abc import Callable

from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from segheads.configs.loading import told_as_mistakes
from segheads.mistakes import sentence_for
from segheads.training.processes import leave_process_group, local_rank


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that MMSegmentation's training and testing tools share.

    Args:
        parser (argparse.ArgumentParser): The parser of a tool.
    """
    parser.add_argument('--work-dir', help='where logs, metrics and checkpoints are written')
    add_config_options(parser)
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the networks by torch.compile; it takes minutes before it saves time',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes of a distributed run',
    )
    add_trust_argument(parser)
    # Old launchers pass it; torchrun, Slurm and MPI set variables instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that overrides settings of the config.

    Args:
        parser (argparse.ArgumentParser): The parser of a tool.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        type=_setting,
        metavar='KEY=VALUE',
        help='settings of the config to override, e.g. model.decode_head.num_classes=19; lists '
        'are written key="[a,b]" or key=a,b, without spaces',
    )


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument for checkpoints that hold more than weights.

    Its effect is :func:`segheads.checkpoints.trust_checkpoints`, in which the tool then runs.

    Args:
        parser (argparse.ArgumentParser): The parser of a tool that reads checkpoints.
    """
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read checkpoints that might run code too; only for files whose author you trust',
    )


def build_runner(cfg: Config) -> Runner:
    """Builds the Runner of a config.

    Args:
        cfg (Config): The complete config.

    Returns:
        Runner: MMEngine's Runner, or the one that ``runner_type`` in the config names.

    Raises:
        UserMistake: As :func:`segheads.configs.loading.told_as_mistakes`.
    """
    with told_as_mistakes(cfg):
        return Runner.from_cfg(cfg) if 'runner_type' not in cfg else RUNNERS.build(cfg)


def run_tool(tool: Callable[[], None]) -> None:
    """Runs a command-line tool and ends the process.

    A mistake of the user ends it with exit code 2 and one sentence on stderr; of several processes
    on a machine only the first one speaks.

    Args:
        tool (Callable): The tool's main function.
    """
    try:
        tool()
        leave_process_group()
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

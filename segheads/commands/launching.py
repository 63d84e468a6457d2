"""Several processes on this machine, through torchrun."""

import logging
import os
import signal
import sys
from collections.abc import Sequence

# torchrun passes these on to the processes that it has started.
SIGNALS = 'SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1'
# After a signal an iteration ends and a checkpoint is written.
SECONDS_TO_END = '600'


def launch(arguments: Sequence[str]) -> None:
    """Runs torchrun, without its page of traceback when a process has said what is wrong.

    Args:
        arguments (Sequence[str]): The arguments of torchrun.

    Raises:
        SystemExit: With the code of the first process that failed, or after a signal with the code
            that shells expect; not if all ended well.
    """
    os.environ.setdefault('TORCHELASTIC_SIGNALS_TO_HANDLE', SIGNALS)
    os.environ.setdefault('PET_SIGNALS_TO_HANDLE', SIGNALS)
    os.environ.setdefault('TORCH_ELASTIC_SHUTDOWN_TIMEOUT', SECONDS_TO_END)
    os.environ.setdefault('LOGLEVEL', 'ERROR')  # else it reports each signal that it passes on
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # It reports each process that it ends after the first one, which has said why.
    logging.getLogger('torch.distributed.elastic.multiprocessing.api').setLevel(logging.CRITICAL)
    try:
        run.main(list(arguments))
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        # A process that was killed by a signal has a negative exit code; shells count from 128.
        code = failure.exitcode
        sys.exit(code if code >= 0 else 128 - code)
    except SignalException as error:
        sys.exit(128 + (signal.SIGINT if error.sigval == signal.SIGINT else signal.SIGTERM))


def launch_here(processes: int, command: Sequence[str]) -> None:
    """Starts a command of segheads in several processes on this machine.

    Args:
        processes (int): How many.
        command (Sequence[str]): Name of the command and its arguments.

    Raises:
        SystemExit: As :func:`launch`.
    """
    os.environ.setdefault('OMP_NUM_THREADS', str(max((os.cpu_count() or 1) // processes, 1)))
    launch(
        [
            f'--nproc-per-node={processes}',
            '--rdzv-backend=c10d',
            '--rdzv-endpoint=localhost:0',
            '--module',
            'segheads_command',
            *command,
            '--launcher',
            'pytorch',
        ]
    )

"""torchrun, without its page of traceback when a process has already said what is wrong.

The dist_*.sh scripts use it; its arguments are those of torchrun.
"""

import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

if __name__ == '__main__':
    try:
        run.main()
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        # A process that was killed by a signal has a negative exit code; shells count from 128.
        code = failure.exitcode
        sys.exit(code if code >= 0 else 128 - code)

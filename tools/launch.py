"""torchrun, without its page of traceback when a process has already said what is wrong.

The dist_*.sh scripts use it; its arguments are those of torchrun.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from segheads_command import place_package  # noqa: E402

if __name__ == '__main__':
    place_package()
    from segheads.commands.launching import launch

    launch(sys.argv[1:])

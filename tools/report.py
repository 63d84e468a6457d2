"""Write a page about training runs: the arguments are those of `segheads report`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import segheads_command  # noqa: E402

main = segheads_command.as_function('report')

if __name__ == '__main__':
    segheads_command.main(['report', *sys.argv[1:]])

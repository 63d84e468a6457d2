"""Make a checkpoint ready to be shared: the arguments are those of `segheads publish`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import segheads_command  # noqa: E402

main = segheads_command.as_function('publish')

if __name__ == '__main__':
    segheads_command.main(['publish', *sys.argv[1:]])

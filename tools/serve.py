"""Show models on a local web page: the arguments are those of `segheads serve`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import segheads_command  # noqa: E402

main = segheads_command.as_function('serve')

if __name__ == '__main__':
    segheads_command.main(['serve', *sys.argv[1:]])

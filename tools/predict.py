"""Predict class maps: the arguments are those of `segheads predict`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import segheads_command  # noqa: E402

main = segheads_command.as_function('predict')

if __name__ == '__main__':
    segheads_command.main(['predict', *sys.argv[1:]])

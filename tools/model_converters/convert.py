"""Write a released checkpoint in our names: the arguments are those of `segheads convert`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import segheads_command  # noqa: E402

main = segheads_command.as_function('convert')

if __name__ == '__main__':
    segheads_command.main(['convert', *sys.argv[1:]])

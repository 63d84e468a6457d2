"""Write a released checkpoint in our names: the arguments are those of `segheads convert`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from segheads_command import main  # noqa: E402

if __name__ == '__main__':
    main(['convert', *sys.argv[1:]])

"""List what is in a checkpoint: the arguments are those of `segheads inspect`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from segheads_command import main  # noqa: E402

if __name__ == '__main__':
    main(['inspect', *sys.argv[1:]])

"""The runner of exported models, ``segheads.runtime``, without the package around it.

Importing a part of a package runs the package's ``__init__`` first, and that of segheads imports
PyTorch and MMSegmentation. This file lies beside the package and takes the folder alone.
"""

from importlib.util import find_spec
from pathlib import Path

__path__ = [str(Path(find_spec('segheads').origin).with_name('runtime'))]

from segheads_runtime.description import Description, read_description  # noqa: E402
from segheads_runtime.mistakes import RunnerMistake  # noqa: E402
from segheads_runtime.model import ExportedModel, load  # noqa: E402

__all__ = ['Description', 'ExportedModel', 'RunnerMistake', 'load', 'read_description']

if __name__ == '__main__':
    from segheads_runtime.command import main

    main()

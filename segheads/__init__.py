"""Five published decode heads as an MMSegmentation plugin.

Importing the package registers everything with MMSegmentation's registries; a config does so with
``custom_imports = dict(imports=['segheads'], allow_failed_imports=False)``.
"""

from . import compat

# Before anything imports `mmseg`: next to some versions of MMCV it cannot be imported otherwise.
compat.apply()

from . import backbones, datasets, engine, heads, losses  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = ['__version__', 'backbones', 'compat', 'datasets', 'engine', 'heads', 'losses']

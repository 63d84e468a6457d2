"""Five published decode heads as an MMSegmentation plugin.

Importing the package registers everything with MMSegmentation's registries; a config does so with
``custom_imports = dict(imports=['segheads'], allow_failed_imports=False)``. In Python, ``load``
makes a model of a config, ``predict`` finds the classes in images, ``draw`` shows them, and
``train`` makes a model of a folder of images and masks.
"""

from . import compat

# Before anything imports `mmseg`: next to some versions of MMCV it cannot be imported otherwise.
compat.apply()

from . import (  # noqa: E402
    backbones,
    checkpoints,
    data,
    datasets,
    heads,
    losses,
    segmentors,
    training,
)
from .configs.names import list_models  # noqa: E402
from .freed_memory import keep_freed_memory  # noqa: E402
from .fusion import fuse  # noqa: E402
from .inference import draw, load, predict  # noqa: E402
from .own_data.python_interface import train  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = [
    '__version__',
    'backbones',
    'checkpoints',
    'compat',
    'data',
    'datasets',
    'draw',
    'fuse',
    'heads',
    'keep_freed_memory',
    'list_models',
    'load',
    'losses',
    'predict',
    'segmentors',
    'train',
    'training',
]

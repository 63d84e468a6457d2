"""Speed and memory of the heads: ``python -m benchmarks.run``."""

import logging
import warnings

from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

import segheads  # noqa: F401  before anything imports mmseg

# Here, since the processes that measure memory are forked from one that has only imported this.
init_default_scope('mmseg')
MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
warnings.filterwarnings('ignore', module='mmseg')

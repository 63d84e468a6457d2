"""Kernels run on a GPU, or in Triton's interpreter if a variable asks for it before the import."""

import os

import torch

IS_INTERPRETED = os.environ.get('TRITON_INTERPRET') == '1'
INTERPRETED = ['test_triton_cross_entropy.py', 'test_triton_class_map.py']
NEED_TRITON_ITSELF = ['test_interpreted.py', 'test_kernel_resources.py']

# `test_interpreted.py` runs the first ones in a process of their own.
if IS_INTERPRETED:
    collect_ignore = NEED_TRITON_ITSELF
elif not torch.cuda.is_available():
    collect_ignore = INTERPRETED

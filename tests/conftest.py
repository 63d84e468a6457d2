"""Settings of the whole test run."""

import torch

import segheads  # noqa: F401  registers everything

# Tiny tensors: more threads cost more than they give, and parallel workers would fight for cores.
torch.set_num_threads(1)

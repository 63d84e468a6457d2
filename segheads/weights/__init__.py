"""Where weights come from: what there is, how to fetch it, and what is on this machine.

Nothing here imports PyTorch, so that ``segheads download`` answers at once. How the weights in a
file reach a model is the business of ``segheads.checkpoints``.
"""

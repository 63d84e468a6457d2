"""Which of the processes of a run this one is, from what launchers set."""

import os


def local_rank() -> int:
    """Returns the number of this process among those of its machine, 0 if it is alone."""
    for variable in ('LOCAL_RANK', 'SLURM_LOCALID', 'OMPI_COMM_WORLD_LOCAL_RANK'):
        if variable in os.environ:
            return int(os.environ[variable])
    return 0

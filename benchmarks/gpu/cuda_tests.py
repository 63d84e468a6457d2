"""The tests that are skipped where there is no GPU."""

from benchmarks.gpu.parts import Options, Write
from benchmarks.gpu.pytest_runs import run_tests

# In a dry run some that need none.
ON_CPU = ('tests/layers/test_fastest_implementation.py', '-k', 'fastest or memory')
ON_GPU = ('tests', '-k', '(cuda or kernels) and not interpreter')


def run(options: Options, write: Write) -> None:
    """Run them, and write which fail."""
    run_tests(ON_CPU if options.dry_run else ON_GPU, write)

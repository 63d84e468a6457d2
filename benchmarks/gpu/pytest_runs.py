"""pytest inside the process of a part."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.gpu.parts import Row, SkippedPart, Write

ROOT = Path(__file__).resolve().parents[2]


class TestRun:
    """A plugin of pytest that counts tests and writes a row for each one that fails.

    Args:
        write (Callable): Writes a row.
    """

    __test__ = False

    def __init__(self, write: Write) -> None:
        self.write = write
        self.counts = dict(passed=0, failed=0, skipped=0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test."""
        if report.when == 'call' or report.outcome != 'passed':
            self.counts[report.outcome] += 1
        if report.failed:
            crash = getattr(report.longrepr, 'reprcrash', None)
            note = crash.message if crash else str(report.longrepr)
            self.write(dict(test=report.nodeid, outcome='failed', note=note.split('\n')[0][:200]))

    def summary(self) -> Row:
        """Return the counts as a row."""
        counted = ', '.join(f'{count} {outcome}' for outcome, count in self.counts.items())
        return dict(test='all', outcome=counted)


def run_tests(arguments: Sequence[str], write: Write, *plugins: object) -> None:
    """Run tests, and write a row for each that fails and one for all.

    Args:
        arguments (Sequence[str]): What pytest is called with, from the root of the project.
        write (Callable): Writes a row.
        *plugins (object): Further plugins of pytest.

    Raises:
        SkippedPart: If there are no tests: an installed package has none.
    """
    tests = ROOT / 'tests'
    if not tests.is_dir():
        raise SkippedPart('there is no folder with tests here')
    sys.path.insert(0, str(tests))
    results = TestRun(write)
    code = pytest.main(
        ['--quiet', '-p', 'no:cacheprovider', f'--rootdir={ROOT}', *arguments],
        plugins=[results, *plugins],
    )
    write(results.summary())
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f'pytest ended with {code!r}')

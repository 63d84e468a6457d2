"""What is measured on a GPU, in the order of importance, and how long each part may take."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.workloads import Setting

Row = dict[str, str | int | float | bool]
Write = Callable[[Row], None]


@dataclass(frozen=True)
class Part:
    """A part of the measurement.

    Args:
        name (str): Its module in this package.
        title (str): Its heading on the page.
        seconds (int): The longest it may take when all may take 25 minutes.
    """

    name: str
    title: str
    seconds: int

    @property
    def module(self) -> str:
        """The module whose function ``run`` does it."""
        return f'benchmarks.gpu.{self.name}'


PARTS = (
    Part('machine', 'Machine', 30),
    Part('cuda_tests', 'Tests that need a GPU', 220),
    Part('golden_parity', 'The released code, on the GPU', 90),
    Part('loss_costs', 'Losses behind given logits', 120),
    Part('class_map_costs', 'Class maps from given logits', 70),
    Part('training_steps', 'Training steps of whole models', 180),
    Part('evaluation', 'Evaluation, images per second', 90),
    Part('head_costs', 'Heads on given features', 170),
    Part('compiled_costs', 'Compiled', 200),
    Part('data_pipeline', 'Data pipeline beside the training step', 50),
    Part('two_processes', 'Two processes', 60),
    Part('camvid_training', 'Training on CamVid', 190),
)


class SkippedPart(Exception):
    """A part that cannot run here; its text says why."""


@dataclass(frozen=True)
class Options:
    """How the parts run.

    Args:
        out (Path): Where the results are written.
        device (str): 'cuda', or 'cpu' in a dry run.
        dry_run (bool): Whether sizes are tiny and everything is done once, to see that it runs.
        camvid (Path, optional): The folder of CamVid.
        golden (Path, optional): A folder with the whole arrays of the golden cases (``*.npz``).
        share (float): How much of its usual time each part may take.
    """

    out: Path
    device: str = 'cuda'
    dry_run: bool = False
    camvid: Path | None = None
    golden: Path | None = None
    share: float = 1

    def setting(self, precision: str = 'fp32', compiled: bool = False) -> Setting:
        """Return where and how a workload runs."""
        return Setting(self.device, precision=precision, compiled=compiled)

    @property
    def seconds(self) -> float:
        """How long workloads take turns."""
        return 0 if self.dry_run else 2 * min(self.share, 1)

    @property
    def rounds(self) -> tuple[int, int]:
        """Least and largest number of turns."""
        return (1, 1) if self.dry_run else (3, 25)

    @property
    def implementations(self) -> tuple[str, ...]:
        """The implementations of loss and class map; kernels need a GPU."""
        return ('auto', 'full', 'tiles') if self.dry_run else ('auto', 'full', 'tiles', 'kernel')

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that are measured."""
        return ('fp32',) if self.dry_run else ('bf16', 'fp32', 'tf32')

"""The golden cases on the GPU: how far the numbers are from those of the released code.

Runs the tests that compare with them, with weights, inputs and labels on the GPU. Their tolerances
are those for a CPU.
"""

import importlib
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu.parts import Options, Write
from benchmarks.gpu.pytest_runs import ROOT, run_tests

TESTS = ('tests/heads', 'tests/backbones', '-k', 'match')
TINY = ('tests/heads/test_cgrseg.py', '-k', 'evaluation_matches and 21-odd')


class OnDevice:
    """A plugin of pytest: golden cases on a device, with what they differ by.

    Args:
        device (str): The device.
        folder (Path, optional): Where the whole arrays are; without, 128 values are compared.
        write (Callable): Writes a row.
    """

    def __init__(self, device: str, folder: Path | None, write: Write) -> None:
        self.device = device
        self.folder = folder
        self.write = write
        self.test = ''

    def pytest_configure(self) -> None:
        """Replace what the tests are about to import."""
        golden = importlib.import_module('golden')
        features, labels, load_case = golden.features, golden.labels, golden.load_case
        assert_matches = golden.assert_matches

        def compare(case: dict, name: str, array: Tensor, atol: float) -> None:
            self.write(self.difference(case, name, array.detach().double().cpu(), atol))
            assert_matches(case, name, array, atol)

        golden.features = lambda *given, **named: [
            x.to(self.device) for x in features(*given, **named)
        ]
        golden.labels = lambda *given, **named: labels(*given, **named).to(self.device)
        golden.load_case = lambda name: {**load_case(name), 'name': name}
        golden.assert_matches = compare
        torch.set_default_device(self.device)

    def difference(self, case: dict, name: str, array: Tensor, atol: float) -> dict:
        """Compare an array with the golden one, with the whole of it if that is at hand."""
        whole = self.folder and self.folder / f'{case["name"]}.npz'
        if whole and whole.exists():
            expected, compared = torch.from_numpy(np.load(whole)[name]).double(), 'all values'
        else:
            values = case['samples'][name]['values']
            expected = torch.tensor(values, dtype=torch.float64, device='cpu')
            array, compared = sys.modules['golden'].sample(array), '128 values'
        return dict(
            case=case['name'],
            array=name,
            compared=compared,
            largest_difference=(array - expected).abs().max().item(),
            tolerance=atol,
        )


def run(options: Options, write: Write) -> None:
    """Run the tests, and write each difference."""
    torch.set_float32_matmul_precision('highest')
    torch.backends.cudnn.allow_tf32 = False
    sys.path.insert(0, str(ROOT / 'tests'))
    plugin = OnDevice(options.device, options.golden, write)
    run_tests(TINY if options.dry_run else TESTS, write, plugin)

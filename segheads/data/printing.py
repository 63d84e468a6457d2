"""What was found in a data set, as tables and lines."""

from collections.abc import Collection

from rich.console import Console
from rich.table import Table

from .scan import DatasetScan


def print_histogram(console: Console, scan: DatasetScan, ignore_indices: Collection[int]) -> None:
    """Prints how often each class occurs.

    Args:
        console (Console): Where to print.
        scan (DatasetScan): What was found.
        ignore_indices (Collection[int]): Labels allowed besides the classes.
    """
    classes = scan.classes or ()
    table = Table('label', 'class', 'pixels', 'share', 'images')
    for column in table.columns[2:]:
        column.justify = 'right'
    total = max(sum(scan.pixels.values()), 1)
    for label in sorted({*range(len(classes)), *scan.pixels}):
        if label < len(classes):
            name = classes[label]
        else:
            name = '(ignored)' if label in ignore_indices else '(no class)'
        count = scan.pixels[label]
        table.add_row(
            str(label), name, f'{count:,}', f'{count / total:.2%}', f'{scan.images[label]:,}'
        )
    console.print(f'{scan.num_pairs:,} pairs of image and mask')
    console.print(table)


def print_findings(console: Console, scan: DatasetScan, show: int) -> None:
    """Prints what is wrong with the files and the settings of one data set.

    Args:
        console (Console): Where to print.
        scan (DatasetScan): What was found.
        show (int): Number of files to name for each kind of fault.
    """
    lines = []
    for kind, files in scan.faults.items():
        lines += [f'error: {len(files)} {kind}', *(f'    {file}' for file in files[:show])]
        if len(files) > show:
            lines.append(f'    and {len(files) - show} more')
    lines += [f'error: {mistake}' for mistake in scan.mistakes]
    lines += [f'note: {advice}' for advice in scan.advice]
    for line in lines:
        console.print(line, soft_wrap=True)

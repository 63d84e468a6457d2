"""Read every image and mask that a config trains and tests on, before training does.

Finds files that are missing, damaged, of different sizes or with labels outside the classes,
prints how often each class occurs, and says which settings may be wrong. The exit code is 1 if
training would fail or learn from damaged data.

Example:
    python tools/check_dataset.py local_configs/ccaseg/B0/ccaseg.b0.360x480.camvid.20k.py
"""

import argparse
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from rich.console import Console
from rich.progress import track
from rich.table import Table

from segheads.commands.command_line import add_config_options, run_tool
from segheads.configs.loading import load_config, require_keys
from segheads.configs.preflight import check_modules, classes_of_head, ignored_labels
from segheads.data.checks import leaf_datasets
from segheads.data.pipelines import find_mask_loader
from segheads.data.scan import DatasetScan, DatasetScanner
from segheads.mistakes import UserMistake

SPLITS = ('train', 'val', 'test')


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--splits', nargs='+', choices=SPLITS, default=SPLITS, help='data sets to read'
    )
    parser.add_argument(
        '--samples', type=_positive, metavar='N', help='read N pairs of each data set, not all'
    )
    parser.add_argument(
        '--show', type=_positive, default=5, metavar='N', help='name N files for each fault'
    )
    add_config_options(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Checks as the command line says, and exits with code 1 if there are faults.

    Args:
        arguments (Sequence[str] | None): The command line; None for that of the process.
    """
    options = parse_arguments(arguments)
    cfg = load_config(options.config, options.cfg_options)
    require_keys(cfg, ('model',))
    check_modules(cfg)
    # Paths may hold what Rich would take for its markup.
    console = Console(markup=False, highlight=False)
    num_faults = 0
    for splits, key, dataset in datasets_to_read(cfg, options.splits):
        console.print(f'\n{", ".join(splits)}: {key}', style='bold')
        if splits == ['test'] and find_mask_loader(dataset.pipeline) is None:
            console.print('note: it has no masks, as test servers want it')
            continue
        ignore_indices = set.union(*(ignored_labels(cfg, split) for split in splits))
        try:
            scanner = DatasetScanner(
                dataset, key, classes_of_head(cfg), ignore_indices, options.samples
            )
        except UserMistake as mistake:
            console.print(f'error: {mistake}', soft_wrap=True)
            num_faults += 1
            continue
        pairs = track(
            scanner.read(),
            'reading',
            total=len(scanner),
            console=Console(stderr=True),
            transient=True,
        )
        scan = scanner.summarise(pairs)
        print_histogram(console, scan, ignore_indices)
        print_findings(console, scan, options.show)
        num_faults += len(scan.mistakes) + sum(map(len, scan.faults.values()))
    if num_faults:
        console.print(f'\n{num_faults} faults; correct them before training', style='bold')
        sys.exit(1)
    console.print('\nno fault', style='bold')


def datasets_to_read(
    cfg: Config, splits: Sequence[str]
) -> list[tuple[list[str], str, Mapping[str, Any]]]:
    """Lists the data sets of a config, each once.

    Args:
        cfg (Config): The config.
        splits (Sequence[str]): Of 'train', 'val' and 'test' those to list.

    Returns:
        list[tuple]: For each data set the splits that read it, its dotted key and its config.

    Raises:
        UserMistake: If there is none.
    """
    found: list[tuple[list[str], str, Mapping[str, Any]]] = []
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            continue
        for key, dataset in leaf_datasets(loader.dataset, f'{split}_dataloader.dataset'):
            same = next((splits for splits, _, other in found if other == dataset), None)
            if same:
                same.append(split)
            else:
                found.append(([split], key, dataset))
    if not found:
        raise UserMistake(f'{cfg.filename} has no data set for {", ".join(splits)}')
    return found


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


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{text} is not a positive number')
    return number


if __name__ == '__main__':
    run_tool(main)

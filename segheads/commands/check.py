"""Read every image and mask that a config trains and tests on, before training does.

Finds files that are missing, damaged, of different sizes or with labels outside the classes,
prints how often each class occurs, and says which settings may be wrong. The exit code is 1 if
training would fail or learn from damaged data.

Example:
    segheads check local_configs/ccaseg/B0/ccaseg.b0.360x480.camvid.20k.py
"""

import argparse
import sys

from segheads.mistakes import UserMistake

from .arguments import add_config_options, config_options, positive

SPLITS = ('train', 'val', 'test')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument('config', help='config file, or a name such as ccaseg_b0_camvid')
    parser.add_argument(
        '--splits', nargs='+', choices=SPLITS, default=SPLITS, help='data sets to read'
    )
    parser.add_argument(
        '--samples', type=positive, metavar='N', help='read N pairs of each data set, not all'
    )
    parser.add_argument(
        '--show', type=positive, default=5, metavar='N', help='name N files for each fault'
    )
    add_config_options(parser)


def run(options: argparse.Namespace) -> None:
    """Checks as the command line says, and exits with code 1 if there are faults."""
    from rich.console import Console
    from rich.progress import track

    from segheads.configs.data_sets import datasets_to_read
    from segheads.configs.loading import load_config, require_keys
    from segheads.configs.preflight import check_modules, classes_of_head, ignored_labels
    from segheads.configs.signatures import check_arguments
    from segheads.data.checks import find_transform
    from segheads.data.printing import print_findings, print_histogram
    from segheads.data.scan import DatasetScanner

    cfg = load_config(options.config, config_options(options))
    require_keys(cfg, ('model',))
    check_arguments(cfg)
    check_modules(cfg)
    # Paths may hold what Rich would take for its markup.
    console = Console(markup=False, highlight=False)
    num_faults = 0
    for splits, key, dataset in datasets_to_read(cfg, options.splits):
        console.print(f'\n{", ".join(splits)}: {key}', style='bold')
        if splits == ['test'] and find_transform(dataset.pipeline, 'LoadAnnotations') is None:
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

"""List the models by name: head, encoder, data set, cost, and whether encoder weights are at hand.

Where the weights are those of the whole model, they come with the package: load(NAME,
pretrained=True), segheads predict NAME and segheads serve NAME need no checkpoint.

Parameters and multiply-adds are those of inference, for one image of the size given. Any command
takes a name in place of the path of a config.

Example:
    segheads models 'cgrseg_*'
"""

import argparse

from segheads.mistakes import UserMistake, near_matches


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument(
        'pattern', nargs='?', default='*', help='which ones, with * for any text, in quotes'
    )


def run(options: argparse.Namespace) -> None:
    """Lists as the command line says.

    Raises:
        UserMistake: If no name fits.
    """
    from rich.console import Console
    from rich.table import Column, Table

    from segheads.configs.catalogue import describe_models
    from segheads.configs.names import config_files

    entries = describe_models(options.pattern)
    if not entries:
        raise UserMistake(
            f'no model is called {options.pattern}{near_matches(options.pattern, config_files())}'
            '; `segheads models` lists all'
        )
    table = Table(
        Column('name', no_wrap=True),
        'head',
        'encoder',
        'data set',
        'size',
        'M params',
        'GMAC',
        'weights',
    )
    for column in table.columns[4:7]:
        column.justify = 'right'
    for entry in entries:
        table.add_row(*entry)
    console = Console(highlight=False)
    if not console.is_terminal:  # nothing is cut off in a file
        console = Console(highlight=False, width=200)
    console.print(table)

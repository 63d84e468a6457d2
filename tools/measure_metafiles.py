"""Measure what the metafiles say about each config, and write it into them.

A metafile describes the configs of a method in the format of MIM. This sets, for each model:

- Parameters: of the network in inference, without auxiliary heads,
- FLOPs: multiply-adds for one image of the Input Size, attention included,
- Batch Size per GPU, Iterations and Input Size: those of the config.

Example:
    python tools/measure_metafiles.py
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from segheads.commands import run_and_exit
from segheads.mistakes import UserMistake
from segheads.report.model_cost import model_cost

CONFIGS = Path(__file__).resolve().parents[1] / 'local_configs'
# Metafiles name configs as the installed package does.
PREFIX = 'configs/'


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures all metafiles.

    Args:
        arguments (Sequence[str] | None): The command line; None for that of the process.

    Raises:
        UserMistake: If there are no metafiles.
    """
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(arguments)
    metafiles = sorted(CONFIGS.glob('*/metafile.yml'))
    if not metafiles:
        raise UserMistake(f'{CONFIGS} holds no metafiles; run this in a clone')
    for path in metafiles:
        before = path.read_text(encoding='utf-8')
        after = measure(before)
        path.write_text(after, encoding='utf-8')
        print(f'{path}: {"unchanged" if after == before else "written"}')


def measure(metafile: str) -> str:
    """Measures the models of a metafile.

    Args:
        metafile (str): Text of the metafile, in which Config precedes what is measured.

    Returns:
        str: The text with the measured figures, and with everything else as it was.
    """
    figures: dict[str, str] = {}
    lines = []
    for line in metafile.splitlines():
        key, _, value = line.strip().partition(': ')
        if key == 'Config':
            figures = measure_config(CONFIGS / value.removeprefix(PREFIX))
        if key in figures:
            line = f'{line[: line.index(key)]}{key}: {figures[key]}'
        lines.append(line)
    return '\n'.join(lines) + '\n'


def measure_config(path: Path) -> dict[str, str]:
    """Measures the model of a config, and reads off how it is trained.

    Args:
        path (Path): The config.

    Returns:
        dict[str, str]: Values by the keys of a metafile.
    """
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    cost = model_cost(config.model, config.model.data_preprocessor.size)
    return {
        'Batch Size per GPU': str(config.train_dataloader.batch_size),
        'Iterations': str(config.train_cfg.max_iters),
        'Input Size': str(list(cost.image_size)),
        'Parameters': str(cost.parameters),
        'FLOPs': str(cost.multiply_adds),
    }


if __name__ == '__main__':
    run_and_exit(main)

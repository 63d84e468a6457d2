"""Watch a network learn to segment: train CCASeg on SyntheticScenes, evaluate it, draw it.

Needs no data, no weights and no GPU. `make demo` installs what it needs and runs it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.patches import Patch
from mmengine.runner import Runner

from segheads.commands import prepare_process, run_and_exit
from segheads.configs.loading import load_config
from segheads.training.console import build_runner

CONFIG = Path(__file__).parents[1] / 'local_configs/ccaseg/B0/ccaseg.b0.128x160.synthetic.demo.py'


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description='Train, evaluate and draw the demo')
    parser.add_argument('--work-dir', default='work_dirs/demo', help='where results are written')
    parser.add_argument('--scenes', type=int, default=4, help='scenes in the picture')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the demo as the command line says.

    Args:
        arguments (Sequence[str] | None): The command line; None for that of the process.
    """
    options = parse_arguments(arguments)
    cfg = load_config(str(CONFIG))
    cfg.work_dir = options.work_dir
    runner = build_runner(cfg)
    runner.train()
    runner.test()
    path = Path(options.work_dir) / 'scenes.png'
    draw_predictions(runner, path, options.scenes)
    print(f'\nImage, ground truth and prediction of held-out scenes: {path.resolve()}')


def draw_predictions(runner: Runner, path: Path, num_scenes: int) -> None:
    """Draws held-out scenes beside their ground truth and what the model makes of them.

    Args:
        runner (Runner): Holds the trained model and the test data.
        path (Path): The picture to write.
        num_scenes (int): Rows of the picture.
    """
    matplotlib.use('Agg')
    from matplotlib import pyplot

    dataset = runner.test_dataloader.dataset
    palette = np.array(dataset.metainfo['palette'], dtype=np.uint8)
    figure, axes = pyplot.subplots(
        num_scenes, 3, figsize=(10.5, 2.7 * num_scenes + 0.7), squeeze=False
    )
    runner.model.eval()
    for row, index in zip(axes, range(num_scenes), strict=True):
        data = dataset[index]
        with torch.no_grad():
            result = runner.model.test_step(
                dict(inputs=[data['inputs']], data_samples=[data['data_samples']])
            )[0]
        image = data['inputs'].numpy()[::-1].transpose(1, 2, 0)
        truth = palette[result.gt_sem_seg.data[0].cpu().numpy()]
        prediction = palette[result.pred_sem_seg.data[0].cpu().numpy()]
        for axis, pixels in zip(row, (image, truth, prediction), strict=True):
            axis.imshow(pixels)
            axis.set_axis_off()
    for axis, title in zip(axes[0], ('image', 'ground truth', 'prediction'), strict=True):
        axis.set_title(title)
    colours = zip(dataset.metainfo['classes'], palette / 255, strict=True)
    figure.legend(
        handles=[Patch(color=tuple(colour), label=name) for name, colour in colours],
        loc='lower center',
        ncols=len(palette),
        frameon=False,
        handlelength=1,
    )
    figure.tight_layout(rect=(0, 0.5 / figure.get_figheight(), 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == '__main__':
    prepare_process()
    run_and_exit(main)

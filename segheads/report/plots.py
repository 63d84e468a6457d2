"""Curves and matrices, as SVG inside of the page and as PNG beside it."""

from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Readable on white and on black.
RUN_COLOURS = ('#3b82c4', '#d9731a', '#2a9d6f', '#b565c4', '#b58900', '#7a7fd1')
# What is drawn in this colour takes the colour of the page's text.
TEXT = '#010203'
CLASSES_TO_LABEL = 40
CELLS_TO_WRITE = 15
SMOOTHING_WINDOWS = 25


class Plots:
    """Draws plots into a folder.

    Args:
        folder (Path): Where PNG files are written; it is made if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def curves(
        self,
        name: str,
        label: str,
        runs: Mapping[str, Mapping[int, float]],
        smooth: bool = False,
        markers: bool = False,
    ) -> str:
        """Draws a scalar of several runs against the iteration.

        Args:
            name (str): Name of the PNG file, without suffix.
            label (str): What the scalar is.
            runs (Mapping[str, Mapping[int, float]]): For each run its values by iteration.
            smooth (bool): Whether to draw a running mean over the values. Default: False.
            markers (bool): Whether to mark each value. Default: False.

        Returns:
            str: SVG.
        """
        figure = Figure(figsize=(4.8, 3), layout='constrained')
        axes = figure.subplots()
        for index, (run, values) in enumerate(runs.items()):
            colour = RUN_COLOURS[index % len(RUN_COLOURS)]
            steps, scalars = list(values), list(values.values())
            # A dollar sign would start a formula.
            style = dict(color=colour, label=run.replace('$', r'\$'))
            if smooth and len(scalars) > SMOOTHING_WINDOWS:
                axes.plot(steps, scalars, color=colour, alpha=0.3, linewidth=1)
                window = max(len(scalars) // SMOOTHING_WINDOWS, 2)
                axes.plot(steps, running_mean(scalars, window), linewidth=2, **style)
            else:
                axes.plot(steps, scalars, marker='o' if markers else None, linewidth=2, **style)
        axes.set(xlabel='iteration', ylabel=label)
        axes.grid(alpha=0.2, color=TEXT)
        if len(runs) > 1:
            axes.legend(frameon=False, labelcolor=TEXT)
        return self._finish(figure, axes, name)

    def confusion(self, name: str, confusion: np.ndarray, classes: Sequence[str]) -> str:
        """Draws a confusion matrix, each row in percent of its true class.

        Args:
            name (str): Name of the PNG file, without suffix.
            confusion (np.ndarray): Pixels of shape (K, K + 1), true classes in rows.
            classes (Sequence[str]): Names of the K classes.

        Returns:
            str: SVG.
        """
        pixels = confusion.sum(axis=1, keepdims=True)
        share = np.divide(
            100 * confusion[:, : len(classes)],
            pixels,
            out=np.zeros((len(classes),) * 2),
            where=pixels > 0,
        )
        side = 2.2 + min(max(0.36 * len(classes), 2.5), 8)
        figure = Figure(figsize=(side + 0.8, side), layout='constrained')
        axes = figure.subplots()
        picture = axes.imshow(share, cmap='Blues', vmin=0, vmax=100)
        bar = figure.colorbar(picture, ax=axes, shrink=0.8, label='% of the true class')
        _take_text_colour(bar.ax)
        if len(classes) <= CLASSES_TO_LABEL:
            names = [name.replace('$', r'\$') for name in classes]
            axes.set_xticks(range(len(classes)), names, rotation=90)
            axes.set_yticks(range(len(classes)), names)
        if len(classes) <= CELLS_TO_WRITE:
            for (row, column), value in np.ndenumerate(share):
                if value >= 0.5:
                    colour = 'white' if value > 50 else 'black'
                    axes.text(
                        *(column, row, f'{value:.0f}'),
                        **dict(ha='center', va='center', color=colour, fontsize=8),
                    )
        axes.set(xlabel='predicted', ylabel='true')
        return self._finish(figure, axes, name)

    def _finish(self, figure: Figure, axes: Axes, name: str) -> str:
        """Writes a PNG with black on white, and returns an SVG in the colours of the page."""
        _take_text_colour(axes)
        figure.savefig(self.folder / f'{name}.png', dpi=130)
        stream = StringIO()
        # Text stays text; the salt keeps identifiers apart on one page, and reports comparable.
        with rc_context({'svg.fonttype': 'none', 'svg.hashsalt': name}):
            figure.savefig(stream, format='svg', transparent=True, metadata={'Date': None})
        svg = stream.getvalue()
        return svg[svg.index('<svg') :].replace(TEXT, 'currentColor')


def running_mean(values: Sequence[float], window: int) -> np.ndarray:
    """Averages each value with those before it.

    Args:
        values (Sequence[float]): N values.
        window (int): How many values to average; fewer at the start.

    Returns:
        np.ndarray: N means.
    """
    # One by one, so that a loss that was not a number spoils no more than its window.
    ends = range(1, len(values) + 1)
    return np.array([np.mean(values[max(end - window, 0) : end]) for end in ends])


def _take_text_colour(axes: Axes) -> None:
    axes.tick_params(colors=TEXT)
    axes.xaxis.label.set_color(TEXT)
    axes.yaxis.label.set_color(TEXT)
    for spine in axes.spines.values():
        spine.set(color=TEXT, alpha=0.4)

"""Cost against size and class count, as a picture."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter


def plot_costs(results: dict, path: Path) -> None:
    """Draw the costs of all heads.

    Args:
        results (dict): The results of ``run.py``.
        path (Path): The PNG to write.
    """
    scaling = results['scaling']
    figure = Figure(figsize=(10, 4), layout='constrained')
    panels = zip(
        figure.subplots(1, 2, sharey=True),
        (scaling['by_size'], scaling['by_classes']),
        ('edge of the image, 150 classes', 'number of classes, 512x512'),
        strict=True,
    )
    for axes, costs, label in panels:
        for name, points in costs.items():
            axes.loglog([int(x) for x in points], points.values(), marker='o', label=name)
        axes.set_xlabel(label)
        axes.set_xticks([int(x) for x in max(costs.values(), key=len)])
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel(f'forward pass, ms ({scaling["setting"]})')
    lines, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc='outside lower center', ncols=3)
    figure.savefig(path, dpi=120)

"""From runs to one HTML page that needs nothing else to be shown."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from segheads.inference.drawing import paint
from segheads.version import __version__

from .evaluation import Evaluation, ModelOnData
from .model_cost import ModelCost
from .pictures import css_colours, data_address
from .plots import Plots
from .run_log import RunLog
from .template import PAGE, STYLE

PICTURES_PER_GALLERY = 3
OPACITY = 0.6  # of the colours of the classes
UNKNOWN = '–'


@dataclass
class ReportedRun:
    """A run with what was found out about it.

    Attributes:
        log (RunLog): Its work directory.
        cost (ModelCost | None): What its model costs, None if that cannot be counted.
        model (ModelOnData | None): Its trained model, None if it was not evaluated.
        evaluation (Evaluation | None): Results of the model, None if it was not evaluated.
    """

    log: RunLog
    cost: ModelCost | None = None
    model: ModelOnData | None = None
    evaluation: Evaluation | None = None

    @property
    def name(self) -> str:
        """What the page calls the run."""
        return self.log.name


def write_page(runs: Sequence[ReportedRun], path: Path, notes: Sequence[str] = ()) -> None:
    """Writes the page, and its plots as PNG into a folder beside it.

    Args:
        runs (Sequence[ReportedRun]): The runs; differences are those to the first one.
        path (Path): The HTML file. Plots go to a folder of its name with '_plots' for its suffix.
        notes (Sequence[str]): What the reader has to know.
    """
    plots = Plots(path.with_name(f'{path.stem}_plots'))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(PAGE).render(
        title=' against '.join(run.name for run in runs),
        style=STYLE,
        version=__version__,
        date=datetime.now().strftime('%Y-%m-%d %H:%M'),
        runs=runs,
        notes=[*notes, *(note for run in runs for note in run.log.notes)],
        overview=_overview(runs),
        curves=_curves(runs, plots),
        class_table=_class_table(runs),
        matrices=_matrices(runs, plots),
        legend=_legend(runs),
        galleries=_galleries(runs),
        versions=_versions(runs),
        configs=[dict(name=run.name, text=run.log.config.pretty_text) for run in runs],
        config_differences=_config_differences(runs),
    )
    path.write_text(page, encoding='utf-8')


def _overview(runs: Sequence[ReportedRun]) -> list[dict[str, Any]]:
    columns = [_overview_of(run) for run in runs]
    return [
        dict(label=label, cells=[column[label] for column in columns])
        for label in columns[0]
        if any(column[label] != UNKNOWN for column in columns)
    ]


def _overview_of(run: ReportedRun) -> dict[str, str]:
    log, cost, evaluation = run.log, run.cost, run.evaluation
    model = log.config.get('model') or {}
    best, last = log.best, max(log.validation, default=None)
    seconds = [record['time'] for record in log.training.values() if 'time' in record]
    facts = dict.fromkeys(
        (
            'work directory',
            'head',
            'encoder',
            'data',
            'iterations',
            'best mIoU in training',
            'last mIoU in training',
            'mIoU of the evaluation here',
            'checkpoint',
            'parameters',
            'of these in the head',
            'multiply-adds',
            'speed in inference',
            'measured on',
            'time of a training iteration',
        ),
        UNKNOWN,
    )
    facts['work directory'] = str(log.work_dir)
    facts['head'] = _types(model.get('decode_head'))
    facts['encoder'] = _types(model.get('backbone'))
    facts['data'] = _data_name(log.config)
    if log.training:
        facts['iterations'] = f'{max(log.training):,}'
    if best:
        facts['best mIoU in training'] = f'{best[1]:.2f} % after {best[0]:,} iterations'
    if last is not None and 'mIoU' in log.validation[last]:
        facts['last mIoU in training'] = (
            f'{log.validation[last]["mIoU"]:.2f} % after {last:,} iterations'
        )
    if log.checkpoint:
        facts['checkpoint'] = log.checkpoint.name
    if seconds:
        facts['time of a training iteration'] = f'{statistics.median(seconds):.3f} s'
    if cost:
        height, width = cost.image_size
        facts['parameters'] = f'{cost.parameters / 1e6:.2f} M'
        facts['of these in the head'] = f'{cost.head_parameters / 1e6:.2f} M'
        facts['multiply-adds'] = f'{cost.multiply_adds / 1e9:.2f} G at {height}x{width}'
    if evaluation:
        height, width = evaluation.image_size
        facts['mIoU of the evaluation here'] = (
            f'{np.nanmean(evaluation.class_ious):.2f} % on {len(evaluation.indices):,} of '
            f'{len(run.model.dataset):,} images'
        )
        facts['speed in inference'] = (
            f'{1 / evaluation.seconds_per_image:.1f} images/s of {height}x{width}, one at a time'
        )
        facts['measured on'] = evaluation.device
    return facts


def _types(parts: Any) -> str:
    parts = parts if isinstance(parts, (list, tuple)) else [parts]
    return ', '.join(str(part['type']) for part in parts if part and 'type' in part) or UNKNOWN


def _data_name(config: Mapping[str, Any]) -> str:
    dataset = (config.get('train_dataloader') or {}).get('dataset') or {}
    name, root = dataset.get('type', UNKNOWN), dataset.get('data_root')
    return f'{name}, {root}' if root else str(name)


def _curves(runs: Sequence[ReportedRun], plots: Plots) -> list[dict[str, str]]:
    curves = []
    for name, label, caption, source, style in (
        ('loss', 'loss', 'Training loss', 'training', dict(smooth=True)),
        ('mIoU', 'mIoU in %', 'mIoU on the validation data', 'validation', dict(markers=True)),
        ('lr', 'learning rate', 'Learning rate of the first group', 'training', {}),
    ):
        values = {
            run.name: {
                step: record[name]
                for step, record in getattr(run.log, source).items()
                if isinstance(record.get(name), (int, float))
            }
            for run in runs
        }
        values = {run: scalars for run, scalars in values.items() if scalars}
        if values:
            curves.append(dict(svg=plots.curves(name, label, values, **style), caption=caption))
    return curves


def _class_table(runs: Sequence[ReportedRun]) -> dict[str, Any] | None:
    """Compares classes by what was evaluated here, or by the logs if a run was not."""
    if all(run.evaluation for run in runs):
        tables = [
            dict(
                zip(
                    run.model.dataset.metainfo['classes'],
                    run.evaluation.class_ious.tolist(),
                    strict=True,
                )
            )
            for run in runs
        ]
        source = 'as evaluated here'
    else:
        tables = [run.log.class_ious for run in runs]
        source = 'in the last validation that the log has'
    if not any(tables):
        return None
    rows = []
    for name in {name: None for table in tables for name in table}:
        rows.append(dict(name=name, cells=_class_cells([table.get(name) for table in tables])))
    caption = f'IoU in percent, {source}'
    if len(runs) > 1:
        caption += f'; differences to {runs[0].name}'
    return dict(runs=[run.name for run in runs], rows=rows, caption=f'{caption}.')


def _class_cells(values: Sequence[float | None]) -> list[dict[str, Any]]:
    cells = []
    for value in values:
        is_known = value is not None and not math.isnan(value)
        cell = dict(share=0, text=UNKNOWN, difference=UNKNOWN, trend='')
        if is_known:
            cell.update(share=round(value, 1), text=f'{value:.1f}')
        if is_known and values[0] is not None and not math.isnan(values[0]):
            difference = value - values[0]
            cell['difference'] = f'{difference:+.1f}'
            if abs(difference) >= 0.05:
                cell['trend'] = 'better' if difference > 0 else 'worse'
        cells.append(cell)
    return cells


def _matrices(runs: Sequence[ReportedRun], plots: Plots) -> list[dict[str, str]]:
    return [
        dict(
            svg=plots.confusion(
                f'confusion_{index}',
                run.evaluation.confusion,
                run.model.dataset.metainfo['classes'],
            ),
            caption=run.name,
        )
        for index, run in enumerate(runs)
        if run.evaluation
    ]


def _legend(runs: Sequence[ReportedRun]) -> list[dict[str, str]]:
    """Lists the colours of each data set among the runs, which mostly is one."""
    legend: dict[tuple[str, str], None] = {}
    for run in runs:
        if run.evaluation:
            information = run.model.dataset.metainfo
            legend.update(
                dict.fromkeys(
                    zip(information['classes'], css_colours(information['palette']), strict=True)
                )
            )
    return [dict(name=name, colour=colour) for name, colour in legend]


def _galleries(runs: Sequence[ReportedRun]) -> list[dict[str, Any]]:
    """Shows the same images for all runs that were evaluated on the same images."""
    groups: dict[tuple[str, ...], list[ReportedRun]] = {}
    for run in runs:
        if run.evaluation:
            images = (
                run.model.dataset.get_data_info(i)['img_path'] for i in run.evaluation.indices
            )
            groups.setdefault(tuple(images), []).append(run)
    return [gallery for group in groups.values() for gallery in _galleries_of(group)]


def _galleries_of(runs: Sequence[ReportedRun]) -> list[dict[str, Any]]:
    scores = np.array([run.evaluation.image_scores for run in runs])
    order = [i for i in scores.mean(axis=0).argsort() if not np.isnan(scores[:, i]).any()]
    suffix = f' of {runs[0].name}' if len(runs) == 1 else ', by the mean of the runs'
    count = min(PICTURES_PER_GALLERY, len(order) // 2)
    choices = {f'Best images{suffix}': order[::-1][:count], f'Worst images{suffix}': order[:count]}
    if len(runs) > 1:
        spread = scores.max(axis=0) - scores.min(axis=0)
        choices['Largest differences'] = sorted(order, key=lambda i: -spread[i])[:count]
    return [
        dict(title=title, rows=[_picture_row(runs, i) for i in chosen])
        for title, chosen in choices.items()
        if chosen
    ]


def _picture_row(runs: Sequence[ReportedRun], position: int) -> list[dict[str, str]]:
    """Shows an image, its ground truth and the prediction of each run."""
    index = runs[0].evaluation.indices[position]
    predictions = []
    for run in runs:
        prediction, truth, address = run.model.predict(index)
        image = run.model.picture(address, truth.shape)
        palette = np.array(run.model.dataset.metainfo['palette'], np.uint8)
        score = 100 * run.evaluation.image_scores[position]
        caption = f'{run.name}: mIoU {score:.1f} %'
        predictions.append(_picture(paint(image, prediction, palette, OPACITY), caption))
    name = address.replace('\\', '/').rpartition('/')[2]
    return [
        _picture(image, name),
        _picture(paint(image, truth, palette, OPACITY), 'ground truth'),
        *predictions,
    ]


def _picture(image: np.ndarray, caption: str) -> dict[str, str]:
    return dict(address=data_address(image), caption=caption)


def _versions(runs: Sequence[ReportedRun]) -> list[dict[str, Any]]:
    labels = {label: None for run in runs for label in run.log.environment}
    return [
        dict(label=label, cells=[run.log.environment.get(label, UNKNOWN) for run in runs])
        for label in labels
    ]


def _config_differences(runs: Sequence[ReportedRun]) -> list[dict[str, Any]]:
    """Lists the settings that are not the same in all configs."""
    configs = [dict(_settings(run.log.config.to_dict())) for run in runs]
    keys = {key: None for config in configs for key in config}
    rows = [dict(label=key, cells=[config.get(key, UNKNOWN) for config in configs]) for key in keys]
    return [row for row in rows if len(set(row['cells'])) > 1]


def _settings(node: Any, key: str = '') -> Iterator[tuple[str, str]]:
    """Walks through a config; yields dotted keys and values."""
    if isinstance(node, Mapping) and node:
        children = node.items()
    elif isinstance(node, (list, tuple)) and any(isinstance(child, Mapping) for child in node):
        children = enumerate(node)
    else:
        yield key, repr(node)
        return
    for name, child in children:
        yield from _settings(child, f'{key}.{name}' if key else str(name))

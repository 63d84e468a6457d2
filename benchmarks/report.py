"""The results as Markdown, which also reads as plain text."""

from collections.abc import Iterable, Sequence


def render(results: dict) -> str:
    """Write the results as tables.

    Args:
        results (dict): The results of ``run.py``.

    Returns:
        str: Markdown.
    """
    parts = ['\n'.join(f'- {name}: {value}' for name, value in results['conditions'].items())]
    for title, rows in results['times'].items():
        parts.append(f'## {title}')
        parts.append(_times(rows))
    parts.append('## Peak memory beyond model and inputs')
    parts.append(_memory(results['memory']))
    parts.append('## Evaluation, images per second')
    parts.append(_evaluation(results['evaluation']))
    parts.append('## Distance from the machine')
    parts.append(_limits(results['limits']))
    parts.append('## Cost against size and classes')
    parts.append(_scaling(results['scaling']))
    return '\n\n'.join(parts) + '\n'


def _times(rows: list[dict]) -> str:
    return table(
        ('head', 'compared with', 'setting', 'ms', 'quartiles', 'rounds', 'ratio', 'quartiles'),
        (
            (
                row['name'],
                '' if row['name'] == row['reference'] else row['reference'],
                row['setting'],
                f'{row["milliseconds"]["median"]:.1f}',
                _quartiles(row['milliseconds'], 1),
                row['milliseconds']['count'],
                f'{row["ratio"]["median"]:.2f}x',
                _quartiles(row['ratio'], 2),
            )
            for row in rows
        ),
    )


def _memory(rows: list[dict]) -> str:
    return table(
        ('head', 'work', 'setting', 'MiB'),
        ((row['name'], row['work'], row['setting'], f'{row["mebibytes"]:.0f}') for row in rows),
    )


def _evaluation(rows: list[dict]) -> str:
    return table(
        ('model', 'image', 'classes', 'segmentor', 'images/s', 'ratio', 'extra MiB'),
        (
            (
                row['name'],
                row['image'],
                row['classes'],
                row['segmentor'],
                f'{row["images_per_second"]:.2f}',
                f'{row["ratio"]:.2f}x',
                f'{row["mebibytes"]:.0f}',
            )
            for row in rows
        ),
    )


def _limits(limits: dict) -> str:
    rows = table(
        ('head', '10^9 multiply-adds', 'ms at that rate', 'ms measured', 'share of the limit'),
        (
            (
                row['name'],
                f'{row["multiply_adds"] / 1e9:.2f}',
                f'{row["least_milliseconds"]:.1f}',
                f'{row["milliseconds"]:.1f}',
                f'{row["least_milliseconds"] / row["milliseconds"]:.0%}',
            )
            for row in limits['heads']
        ),
    )
    return f'Matrix products reach {limits["rate"] / 1e9:.1f} 10^9 multiply-adds/s.\n\n{rows}'


def _scaling(scaling: dict) -> str:
    return '\n\n'.join(
        table(
            (label, *max(costs.values(), key=len)),
            (
                (name, *(f'{value:.1f}' for value in points.values()))
                for name, points in costs.items()
            ),
        )
        for label, costs in (
            (f'edge of the image; ms, {scaling["setting"]}', scaling['by_size']),
            (f'classes; ms, {scaling["setting"]}', scaling['by_classes']),
        )
    )


def _quartiles(spread: dict, digits: int) -> str:
    return f'{spread["low"]:.{digits}f} to {spread["high"]:.{digits}f}'


def table(header: Sequence, rows: Iterable[Sequence]) -> str:
    """Write rows as a Markdown table; short ones are filled up."""
    lines = [list(map(str, header)), *(list(map(str, row)) for row in rows)]
    lines = [line + [''] * (len(header) - len(line)) for line in lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ['-' * width for width in widths])
    return '\n'.join(
        '| '
        + ' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + ' |'
        for line in lines
    )

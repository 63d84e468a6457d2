"""The results as one page of Markdown, which also reads as plain text."""

from dataclasses import dataclass
from math import isnan

from benchmarks.gpu.parts import PARTS, Row
from benchmarks.report import table

# Of the time and the memory that MMSegmentation takes for the same.
AIMS = (
    ('training_steps', 'CCASeg, MiT-B0', 'bf16', dict(time=0.6, memory=0.4)),
    ('training_steps', 'CGRSeg-T', 'bf16', dict(time=0.6, memory=0.4)),
    ('loss_costs', '16x512x512, 150 classes from 1/4', 'bf16', dict(time=0.7, memory=0.2)),
    ('loss_costs', '16x512x512, 150 classes from 1/8', 'bf16', dict(time=0.7, memory=0.2)),
    ('evaluation', 'CCASeg, MiT-B0, 512x683', 'bf16', dict(time=0.5)),
    ('evaluation', 'CGRSeg-T, EfficientFormerV2-S1, 512x683', 'bf16', dict(time=0.5)),
)
DIGITS = {'ms': 2, 'MiB': 0, 'images/s': 1, 'seconds': 1, 'loss': 3, 'mIoU': 1, 'aAcc': 1}


@dataclass(frozen=True)
class Outcome:
    """How a part ended.

    Args:
        status (str): 'done', 'skipped', 'failed' or 'stopped'.
        seconds (float): How long it took.
        note (str): Why it was not done. Default: ''.
    """

    status: str
    seconds: float
    note: str = ''

    def __str__(self) -> str:
        return f'{self.status}, {self.seconds:.0f} s' + (f': {self.note}' if self.note else '')


def render(outcomes: dict[str, Outcome], rows: dict[str, list[Row]]) -> str:
    """Write the page.

    Args:
        outcomes (dict[str, Outcome]): How the parts ended that have run, by name.
        rows (dict[str, list[Row]]): What they have measured, by name.

    Returns:
        str: Markdown.
    """
    sections = ['# First results on a GPU', _overview(outcomes), '## Against the aims']
    sections.append(_aims(rows))
    for part in PARTS:
        if part.name in outcomes:
            sections.append(f'## {part.title}')
            sections.append(str(outcomes[part.name]))
            if rows[part.name]:
                sections.append(_rows(rows[part.name]))
    return '\n\n'.join(sections) + '\n'


def _overview(outcomes: dict[str, Outcome]) -> str:
    lines = (
        (part.title, str(outcomes[part.name]) if part.name in outcomes else 'not yet')
        for part in PARTS
    )
    return table(('part', 'outcome'), lines)


def _aims(rows: dict[str, list[Row]]) -> str:
    """Compare the aims with the best of what a user gets without asking for a kernel."""
    lines = []
    for part, case, precision, aims in AIMS:
        ours = [
            row
            for row in rows[part]
            if str(row.get('case', '')).startswith(case)
            and row.get('precision') == precision
            and row.get('way') in ('auto', 'ours', 'ours, channels last')
            and 'time' in row
        ]
        best = min(ours, key=lambda row: row['time'], default=None)
        for quantity, aim in aims.items():
            measured = best and best.get(quantity)
            known = measured is not None and not isnan(measured)
            lines.append(
                (
                    f'{part}: {case}, {precision}',
                    quantity,
                    f'{aim:.2f}x',
                    f'{measured:.2f}x ({best["way"]})' if known else 'not measured',
                    ('yes' if measured <= aim else 'no') if known else '',
                )
            )
    return table(('work', 'of MMSegmentation', 'aim', 'measured', 'reached'), lines)


def _rows(rows: list[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return table(columns, ([_cell(name, row.get(name)) for name in columns] for row in rows))


def _cell(name: str, value: str | int | float | bool | None) -> str:
    if value is None or (isinstance(value, float) and isnan(value)):
        return ''
    if name in ('time', 'memory'):
        return f'{value:.2f}x'
    if isinstance(value, float):
        return f'{value:.{DIGITS[name]}f}' if name in DIGITS else f'{value:.3g}'
    return str(value).replace('|', '/').replace('\n', ' ')

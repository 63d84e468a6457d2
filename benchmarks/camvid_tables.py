"""What benchmarks/camvid_heads.py has measured, as tables in a page."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from segheads.mistakes import UserMistake

from .report import table

BEGIN, END = '<!-- camvid_heads: begin -->', '<!-- camvid_heads: end -->'
TIMES = (
    'Times: medians of CPU time in one thread, all heads in turns, of a prediction (one image of '
    '360x480, from tensor to class map) and of a training step (8 crops of 192x256, forward and '
    'backward), on {}, {}.'
)
SPLITS = {'val': 'validation', 'test': 'test'}


def read(path: Path) -> list[dict]:
    """Reads the lines of a file of JSON lines; none if there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def write_tables(page: Path, lines: Sequence[dict], heads: Sequence[str]) -> None:
    """Writes the tables between the two comments of a page.

    Args:
        page (Path): The page.
        lines (Sequence[dict]): What was measured.
        heads (Sequence[str]): In which order; heads without a run are left out.

    Raises:
        UserMistake: If the page lacks the comments, or nothing has been measured.
    """
    text = page.read_text(encoding='utf-8')
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserMistake(f'{page} has no lines {BEGIN} and {END} to write between')
    tables = render(lines, heads)
    page.write_text(f'{before}{BEGIN}\n\n{tables}\n\n{END}{after}', encoding='utf-8')


def render(lines: Sequence[dict], heads: Sequence[str]) -> str:
    """Makes Markdown of what was measured.

    Args:
        lines (Sequence[dict]): Runs, and times of which the last line counts.
        heads (Sequence[str]): In which order.

    Returns:
        str: How it came about, scores and cost, and IoU of each class on the test split.

    Raises:
        UserMistake: If there is no run.
    """
    runs = [line for line in lines if line['kind'] == 'run' and line['head'] in heads]
    if not runs:
        raise UserMistake('there are no runs to write about yet')
    longest = max(run['iterations'] for run in runs)
    runs = [run for run in runs if run['iterations'] == longest]
    times = next((line for line in reversed(lines) if line['kind'] == 'times'), {})
    by_head = {head: [run for run in runs if run['head'] == head] for head in heads}
    costs = {**times.get('cost', {}), **{run['head']: run['cost'] for run in runs}}
    columns = ('head', 'seeds', 'parameters, of the head', 'multiply-adds')
    columns += tuple(f'{score}, {name}' for name in SPLITS.values() for score in ('mIoU', 'pixels'))
    columns += ('prediction', 'training step')
    scores = table(
        columns,
        [score_row(head, by_head[head], costs[head], times) for head in heads if head in costs],
    )
    names = list(runs[0]['test']['IoU'])
    classes = table(
        ('head', *names),
        [class_row(head, found, names) for head, found in by_head.items() if found],
    )
    missing = [head for head in heads if not by_head[head]]
    without = f' Not trained yet: {", ".join(missing)}.' if missing else ''
    return '\n\n'.join(
        [
            f'{circumstances(runs)}{without}',
            scores,
            f'IoU of each class on the test split, mean of the seeds:\n\n{classes}',
            *([TIMES.format(machine(times), times['date'])] if times else []),
        ]
    )


def score_row(head: str, runs: Sequence[dict], cost: dict, times: dict) -> tuple:
    """Makes the row of a head: seeds, cost, scores, times."""
    scores = tuple(
        spread([run[split][score] for run in runs])
        for split in SPLITS
        for score in ('mIoU', 'aAcc')
    )
    return (
        head,
        ', '.join(str(run['seed']) for run in runs),
        f'{cost["parameters"] / 1e6:.2f} M, {cost["head_parameters"] / 1e6:.2f} M',
        f'{cost["multiply_adds"] / 1e9:.2f} G',
        *scores,
        *(milliseconds(times, name, head) for name in ('prediction', 'training_step')),
    )


def class_row(head: str, runs: Sequence[dict], names: Sequence[str]) -> tuple:
    """Makes the row of a head: mean IoU of each class."""
    means = (statistics.mean(run['test']['IoU'][name] for run in runs) for name in names)
    return (head, *(f'{mean:.1f}' for mean in means))


def spread(values: Sequence[float]) -> str:
    """Writes a mean, and between which values it lies: ``61.2 (60.8 to 61.9)``."""
    if not values:
        return ''
    mean = f'{statistics.mean(values):.1f}'
    return mean if len(values) == 1 else f'{mean} ({min(values):.1f} to {max(values):.1f})'


def milliseconds(times: dict, name: str, head: str) -> str:
    """Writes a median time; nothing where none was measured."""
    found = times.get(name, {}).get(head)
    return f'{found["median"]:.0f} ms' if found else ''


def circumstances(runs: Sequence[dict]) -> str:
    """Says how, when and on what the runs were made."""
    dates = sorted({run['date'] for run in runs})
    machines = ' and '.join(sorted({machine(run) for run in runs}))
    threads = ' or '.join(str(number) for number in sorted({run['threads'] for run in runs}))
    days = dates[0] if len(dates) == 1 else f'{dates[0]} to {dates[-1]}'
    return (
        f'{len(runs)} runs of {runs[0]["iterations"]} iterations, {days}, on {machines}, with '
        f'{threads} thread{"s" if threads != "1" else ""}.'
    )


def machine(line: dict) -> str:
    """Names the processor and the versions that matter most."""
    versions = line['versions']
    return f'{line["machine"]}, PyTorch {versions["torch"]}, segheads {versions["segheads"]}'

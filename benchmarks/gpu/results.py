"""Results on disk, written as they come."""

import json
from pathlib import Path

from benchmarks.gpu.page import Outcome, render
from benchmarks.gpu.parts import PARTS, Row


def append_row(out: Path, part: str, row: Row) -> None:
    """Write a row of a part."""
    path = _path(out, part)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('a') as file:
        file.write(json.dumps(row) + '\n')
    print(part, row, flush=True)


def read_rows(out: Path, part: str) -> list[Row]:
    """Read the rows of a part; one that was cut off while it was written is left out."""
    path = _path(out, part)
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def forget_rows(out: Path) -> None:
    """Remove what an earlier run has left."""
    for part in PARTS:
        _path(out, part.name).unlink(missing_ok=True)


def write_results(out: Path, outcomes: dict[str, Outcome]) -> None:
    """Write all results so far, as ``results.json`` and as the page ``results.md``.

    Args:
        out (Path): The folder.
        outcomes (dict[str, Outcome]): How the parts ended, by name.
    """
    rows = {part.name: read_rows(out, part.name) for part in PARTS}
    parts = {
        name: dict(outcome=vars(outcome), rows=rows[name]) for name, outcome in outcomes.items()
    }
    (out / 'results.json').write_text(json.dumps(parts, indent=1))
    (out / 'results.md').write_text(render(outcomes, rows))


def _path(out: Path, part: str) -> Path:
    return out / 'parts' / f'{part}.jsonl'

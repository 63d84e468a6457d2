"""The measurement on a GPU runs to its end in its dry form, whatever its parts do."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from benchmarks.gpu.__main__ import main, run  # noqa: E402
from benchmarks.gpu.page import Outcome, render  # noqa: E402
from benchmarks.gpu.parts import PARTS, Options, Part  # noqa: E402
from benchmarks.gpu.processes import run_part  # noqa: E402
from benchmarks.gpu.results import append_row, read_rows  # noqa: E402

MEASURED = {part.name for part in PARTS} - {'compiled_costs'}


class FailingPart(Part):
    module = 'gpu_parts_that_fail'


def test_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['--dry-run', '--out', str(tmp_path)]) == 0, capsys.readouterr().out
    results = json.loads((tmp_path / 'results.json').read_text())
    assert list(results) == [part.name for part in PARTS]
    statuses = {name: part['outcome']['status'] for name, part in results.items()}
    assert {name for name, status in statuses.items() if status == 'done'} == MEASURED
    assert statuses['compiled_costs'] == 'skipped'
    for name in MEASURED:
        assert results[name]['rows']
        assert not [row for row in results[name]['rows'] if 'note' in row]
    (learned,) = results['camvid_training']['rows']
    assert learned['loss'] > 0
    (distributed,) = results['two_processes']['rows']
    assert distributed['largest_difference_of_parameters'] == 0
    assert all(
        x['largest_difference'] <= x['tolerance']
        for x in results['golden_parity']['rows']
        if 'case' in x
    )
    text = (tmp_path / 'results.md').read_text()
    assert all(f'## {part.title}' in text for part in PARTS)


@pytest.mark.parametrize(
    ('kind', 'status', 'note'),
    [
        ('raises', 'failed', "KeyError: 'no such head'"),
        ('crashes', 'failed', 'its process ended with code 11'),
        ('hangs', 'stopped', 'it may take 3 s'),
        ('skips', 'skipped', 'no data'),
    ],
)
def test_what_fails_does_not_stop_the_rest(
    tmp_path: Path, kind: str, status: str, note: str
) -> None:
    options = Options(tmp_path, 'cpu', golden=Path(kind))
    seconds = 3 if kind == 'hangs' else 60
    outcome = run_part(FailingPart('failing', 'Failing', 1), options, seconds)
    assert (outcome.status, outcome.note) == (status, note)
    assert read_rows(tmp_path, 'failing') == [dict(case='before')]
    if kind == 'raises':
        assert 'Traceback' in (tmp_path / 'logs' / 'failing.log').read_text()


def test_parts_share_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {}

    def fake(part: Part, options: Options, seconds: float) -> Outcome:
        limits[part.name] = seconds
        return Outcome('done', 0)

    monkeypatch.setattr('benchmarks.gpu.__main__.run_part', fake)
    options = Options(tmp_path, 'cuda')
    run(PARTS, options, minutes=25)
    assert sum(limits.values()) == pytest.approx(25 * 60)
    full = dict(limits)
    run(PARTS, options, minutes=5)
    assert all(limits[name] == pytest.approx(full[name] / 5) for name in limits)
    now = [0.0]
    monkeypatch.setattr(time, 'perf_counter', lambda: now.__setitem__(0, now[0] + 58) or now[0])
    outcomes = run(PARTS, replace(options, dry_run=True), minutes=3)
    assert outcomes['machine'].status == 'done'
    assert outcomes['camvid_training'] == Outcome('skipped', 0, 'no time is left')


def test_page_compares_with_the_aims() -> None:
    rows = {part.name: [] for part in PARTS}
    case = dict(case='CCASeg, MiT-B0, 16x512x512', precision='bf16')
    rows['training_steps'] = [
        dict(case, way='MMSegmentation', ms=10.0, MiB=100.0),
        dict(case, way='ours', ms=7.0, MiB=30.0, time=0.7, memory=0.3),
        dict(case, way='ours, channels last', ms=5.5, MiB=50.0, time=0.55, memory=0.5),
    ]
    text = render({'training_steps': Outcome('stopped', 9, 'it | hung')}, rows)
    lines = [' '.join(line.split()) for line in text.splitlines()]
    name = 'training_steps: CCASeg, MiT-B0, bf16'
    assert f'| {name} | time | 0.60x | 0.55x (ours, channels last) | yes |' in lines
    assert f'| {name} | memory | 0.40x | 0.50x (ours, channels last) | no |' in lines
    assert '| training_steps: CGRSeg-T, bf16 | time | 0.60x | not measured | |' in lines
    assert '| Evaluation, images per second | not yet |' in lines


def test_reads_rows_of_a_part_that_was_stopped(tmp_path: Path) -> None:
    append_row(tmp_path, 'evaluation', dict(case='a'))
    with (tmp_path / 'parts' / 'evaluation.jsonl').open('a') as file:
        file.write('{"case": "b", "m')
    assert read_rows(tmp_path, 'evaluation') == [dict(case='a')]


def test_needs_a_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert main([]) == 2
    assert 'PyTorch sees no GPU here; install a build for your GPU, or take --dry-run' in (
        capsys.readouterr().err
    )

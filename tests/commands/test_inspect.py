"""The listing of checkpoints, of which nothing but names and shapes is known."""

from pathlib import Path

import pytest
import torch
from mmengine.logging import HistoryBuffer
from tiny_run import command

from segheads.checkpoints import CheckpointError
from segheads.checkpoints.listing import read_weights
from segheads.mistakes import UserMistake

run_inspect = command('inspect')
WEIGHTS = {
    'backbone.stem.weight': torch.zeros(8, 3, 7, 7),
    'decode_head.fusion.conv.weight': torch.zeros(16, 24, 1, 1),
    'decode_head.fusion.bn.weight': torch.zeros(16),
    'decode_head.fusion.bn.num_batches_tracked': torch.tensor(3),
    'decode_head.conv_seg.weight': torch.zeros(5, 16, 1, 1, dtype=torch.float16),
    'decode_head.conv_seg.bias': torch.zeros(5),
}


class RunsCode:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def save(content: object, folder: Path) -> str:
    path = folder / 'iter_160000.pth'
    torch.save(content, path)
    return str(path)


@pytest.mark.parametrize(
    'content',
    [
        WEIGHTS,
        dict(meta=dict(iter=160000, loss=HistoryBuffer([1.0], [1])), state_dict=WEIGHTS),
        dict(model=WEIGHTS, optimizer=dict(lr=0.1), epoch=3),
        dict(model=dict(state_dict={f'module.{name}': w for name, w in WEIGHTS.items()})),
    ],
    ids=['weights alone', 'MMEngine', 'model', 'distributed'],
)
def test_finds_the_weights(content: dict, tmp_path: Path) -> None:
    weights = read_weights(save(content, tmp_path))
    assert list(weights) == list(WEIGHTS)
    assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)


def test_reads_the_format_before_pytorch_1_6(tmp_path: Path) -> None:
    path = tmp_path / 'old.pth'
    torch.save(dict(state_dict=WEIGHTS), path, _use_new_zipfile_serialization=False)
    assert list(read_weights(str(path))) == list(WEIGHTS)


def test_a_module_of_that_name_is_not_taken_for_a_wrapper(tmp_path: Path) -> None:
    weights = {'module.conv.weight': torch.zeros(1), 'head.weight': torch.zeros(1)}
    assert list(read_weights(save(weights, tmp_path))) == list(weights)


def test_lists_one_line_per_module(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run_inspect([save(dict(state_dict=WEIGHTS), tmp_path)])
    assert capsys.readouterr().out.splitlines() == [
        'backbone.stem            weight 8x3x7x7',
        'decode_head.fusion.conv  weight 16x24x1x1',
        'decode_head.fusion.bn    weight 16, num_batches_tracked scalar int64',
        'decode_head.conv_seg     weight 5x16x1x1 float16, bias 5',
        '',
        '         1,176  backbone',
        '           486  decode_head',
        '         1,662  in all',
    ]


def test_lists_what_is_below_a_prefix(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = save(WEIGHTS, tmp_path)
    for prefix in ('decode_head.fusion', 'decode_head.fusion.'):
        run_inspect([path, '--prefix', prefix])
        names = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line]
        assert names[:2] == ['decode_head.fusion.conv', 'decode_head.fusion.bn']
        assert not any('conv_seg' in name for name in names)
    with pytest.raises(UserMistake, match='nothing below decode_heat.conv_seg; did you mean'):
        run_inspect([path, '--prefix', 'decode_heat.conv_seg'])


def test_executes_nothing(tmp_path: Path) -> None:
    trace = tmp_path / 'trace'
    path = save(dict(state_dict=WEIGHTS, meta=RunsCode(trace)), tmp_path)
    with pytest.raises(CheckpointError, match='refers to pathlib.Path'):
        run_inspect([path])
    assert not trace.exists()
    run_inspect([path, '--trust-checkpoint'])
    assert trace.exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (dict(optimizer=dict(lr=0.1)), "holds no weights by name, but the entries 'optimizer'"),
        ({}, 'holds no weights by name, but nothing at all'),
    ],
)
def test_says_what_a_file_without_weights_holds(
    content: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserMistake, match=message):
        read_weights(save(content, tmp_path))


def test_names_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    whole = Path(save(WEIGHTS, tmp_path)).read_bytes()
    damaged = tmp_path / 'damaged.pth'
    for content in (b'\x80nonsense', b'<html>', b'', whole[: len(whole) // 2]):
        damaged.write_bytes(content)
        with pytest.raises(CheckpointError, match='damaged.pth (is not a|is only a part|was not)'):
            read_weights(str(damaged))
    with pytest.raises(UserMistake, match='missing.pth does not exist'):
        read_weights(str(tmp_path / 'missing.pth'))

"""No file runs code, takes memory that it does not fill, or ends in anything but one sentence."""

import random
import re
import sys
import warnings
import zipfile
from pathlib import Path

import hostile_files
import numpy as np
import pytest
import torch
from hostile_files import WEIGHTS, Call, archive, old_file
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader

from segheads.checkpoints import CheckpointError, read_checkpoint, trust_checkpoints

OVERRIDE = r'pass --trust-checkpoint, or in Python use segheads\.checkpoints\.trust_checkpoints\(\)'


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that appears when a payload runs."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    return tmp_path / 'canary'


def refusal(path: Path, canary: Path | None = None) -> str:
    """Loads a file as MMEngine does and returns the sentence that it is refused by."""
    with pytest.raises(CheckpointError) as refused:
        CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    told = str(refused.value)
    assert told.startswith(str(path)) and '\n' not in told
    assert canary is None or not canary.exists()
    return told


def test_payloads_are_refused_by_name_and_never_run(tmp_path: Path, canary: Path) -> None:
    files = hostile_files.payloads(tmp_path, canary)
    assert len(files) >= 24
    for name, (payload, pattern) in files.items():
        path = tmp_path / 'hostile.pth'
        for is_new in (True, False):
            content = dict(state_dict=WEIGHTS, meta=dict(time=payload))
            torch.save(content, path, _use_new_zipfile_serialization=is_new)
            told = refusal(path, canary)
            assert re.search(f'refers to {pattern}, .*{OVERRIDE}', told), (name, told)


def test_payloads_do_run_where_they_are_trusted(tmp_path: Path, canary: Path) -> None:
    """Otherwise the tests above would prove nothing."""
    for name, (payload, _) in hostile_files.payloads(tmp_path, canary).items():
        torch.save(dict(state_dict=WEIGHTS, meta=dict(time=payload)), tmp_path / 'hostile.pth')
        sys.modules.pop('hostile_module', None)
        with trust_checkpoints():
            read_checkpoint(tmp_path / 'hostile.pth')
        if name in ('Popen', 'os.popen'):
            canary.touch()  # the process that creates it may still be starting
        assert canary.exists(), name
        canary.unlink()


def test_no_place_hides_a_payload(tmp_path: Path, canary: Path) -> None:
    payload, pattern = hostile_files.payloads(tmp_path, canary)['os.system']
    for name, content in hostile_files.places(payload).items():
        for is_new in (True, False):
            path = tmp_path / 'hostile.pth'
            torch.save(content, path, _use_new_zipfile_serialization=is_new)
            assert re.search(pattern, refusal(path, canary)), name


def test_crafted_pickles_are_refused(tmp_path: Path, canary: Path) -> None:
    for name, content in hostile_files.crafted_pickles(canary).items():
        told = refusal(archive(tmp_path / 'crafted.pth', content), canary)
        assert 'was not read: it' in told or 'is damaged' in told, (name, told)
        refusal(old_file(tmp_path / 'crafted_old.pth', content, b''), canary)
    history = HistoryBuffer([1.0, 3.0], [1, 1])
    assert (history.statistics('mean'), history.statistics('max')) == (2.0, 3.0)
    assert np.dtype('float64').isnative


def test_sizes_are_those_of_the_file(tmp_path: Path) -> None:
    for name, path in hostile_files.lying_files(tmp_path).items():
        assert 'was not read: it' in refusal(path) or 'is damaged' in refusal(path), name


def test_honest_archives_pass_the_same_checks(tmp_path: Path) -> None:
    """The files above differ from these in the lie alone."""
    four = hostile_files.tensor(hostile_files.storage(4), 4)
    path = archive(tmp_path / 'honest.pth', hostile_files.entry(four))
    assert torch.equal(read_checkpoint(path)['state_dict']['weight'], torch.zeros(4))


def test_what_is_no_checkpoint_is_called_by_its_name(tmp_path: Path) -> None:
    for name, (path, pattern) in hostile_files.broken_files(tmp_path).items():
        assert re.search(pattern, refusal(path)), name


def test_random_damage_ends_in_one_sentence(tmp_path: Path) -> None:
    """Bytes changed, dropped and doubled, 300 times: no error but ours, no memory, no time."""
    generator = random.Random(0)
    path = tmp_path / 'damaged.pth'
    content = dict(state_dict=WEIGHTS, message_hub=dict(loss=HistoryBuffer([1.0], [1])))
    torch.save(content, path)
    with zipfile.ZipFile(path) as file:
        whole = {Path(name).name: file.read(name) for name in file.namelist()}
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole['data.pkl'])
        for _ in range(generator.choice([1, 2, 4])):
            at = generator.randrange(len(damaged))
            kind = generator.choice(['change', 'drop', 'double'])
            if kind == 'change':
                damaged[at] = generator.randrange(256)
            elif kind == 'drop':
                del damaged[at : at + 4]
            else:
                damaged[at:at] = damaged[at - 8 : at]
        records = tuple((f'data/{key}', whole[key]) for key in whole if key.isdigit())
        archive(path, bytes(damaged), records)
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            assert str(error).startswith(str(path)) and '\n' not in str(error)
            refused += 1
    assert 200 < refused < 300


def test_init_cfg_runs_nothing(tmp_path: Path, canary: Path) -> None:
    class Encoder(BaseModule):
        def __init__(self) -> None:
            super().__init__(dict(type='Pretrained', checkpoint=str(tmp_path / 'hostile.pth')))
            self.linear = torch.nn.Linear(2, 2)

    torch.save(Call(Path.touch, Call(Path, str(canary))), tmp_path / 'hostile.pth')
    with pytest.raises(CheckpointError, match=r'pathlib\.(_local\.)?Path'):
        Encoder().init_weights()
    assert not canary.exists()


@pytest.mark.parametrize('extra', ['DATA.PKL', 'Data/0', 'data.pkl'])
def test_no_two_records_differ_by_capitals_only(extra: str, tmp_path: Path, canary: Path) -> None:
    torch.save(dict(state_dict=WEIGHTS), tmp_path / 'good.pth')
    with zipfile.ZipFile(tmp_path / 'good.pth') as good:
        records = {entry.filename.partition('/')[2]: good.read(entry) for entry in good.infolist()}
    path = tmp_path / 'twins.pth'
    with zipfile.ZipFile(path, 'w') as twins, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for name, content in records.items():
            twins.writestr(f'archive/{name}', content)
        twins.writestr(f'archive/{extra}', records['data.pkl'])
    refusal(path, canary)


@pytest.mark.parametrize('change', ['capitals', 'second folder', 'comment', 'prefix', 'constants'])
def test_archives_that_torch_save_does_not_write(change: str, tmp_path: Path, canary: Path) -> None:
    torch.save(dict(state_dict=WEIGHTS), tmp_path / 'good.pth')
    with zipfile.ZipFile(tmp_path / 'good.pth') as good:
        records = {entry.filename.partition('/')[2]: good.read(entry) for entry in good.infolist()}
    if change == 'capitals':
        records = {name.upper(): content for name, content in records.items()}
    path = tmp_path / 'odd.pth'
    with zipfile.ZipFile(path, 'w') as odd:
        for name, content in records.items():
            odd.writestr(f'archive/{name}', content)
        if change == 'second folder':
            odd.writestr('other/data.pkl', records['data.pkl'])
        if change == 'comment':
            odd.comment = b'PK'
        if change == 'constants':
            odd.writestr('archive/CONSTANTS.PKL', b'')
    if change == 'prefix':
        path.write_bytes(b'PK\x03\x04' + bytes(60) + path.read_bytes())
    refusal(path, canary)

"""`--resume` continues the run that was saved, or says in which way the config is another."""

from pathlib import Path

import pytest
from tiny_run import CONFIG, FROM_SCRATCH, command, forget_visualizers, sentence, write_workspace

from segheads_command import as_function

SCHEDULED = f"{CONFIG}\nparam_scheduler = [dict(type='PolyLR', end=9, by_epoch=False)]\n"
AUXILIARY_HEAD = """
model['auxiliary_head'] = dict(
    type='FCNHead', in_channels=8, in_index=0, channels=8, num_convs=1, num_classes=3
)
"""
train = as_function('train')


@pytest.fixture(scope='module')
def saved(tmp_path_factory) -> Path:
    """A workspace with a run of two iterations, to which every case writes its own config."""
    folder = write_workspace(tmp_path_factory.mktemp('saved'))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path('tiny.py').write_text(SCHEDULED)
        command('train')(['tiny.py', *FROM_SCRATCH])
    return folder


@pytest.fixture(autouse=True)
def _in_workspace(saved, monkeypatch):
    monkeypatch.chdir(saved)
    forget_visualizers()


def resume(text: str, *options: str) -> None:
    """Resume with another config."""
    Path('tiny.py').write_text(text)
    train(['tiny.py', '--resume', '--no-rehearsal', *FROM_SCRATCH, *options])


@pytest.mark.parametrize(
    'text, options, told',
    [
        (
            SCHEDULED,
            ['model.decode_head.channels=16'],
            'decode_head.conv_seg (3x8x1x1 vs 3x16x1x1)',
        ),
        (SCHEDULED + AUXILIARY_HEAD, [], 'its checkpoint lacks auxiliary_head'),
        (
            SCHEDULED.replace("type='AdamW'", "type='SGD'"),
            [],
            'its optimizer was AdamW, and that of the config is SGD',
        ),
        (
            SCHEDULED,
            ['optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.1'],
            'by another paramwise_cfg',
        ),
        (SCHEDULED.replace('PolyLR', 'LinearLR'), [], 'its param_scheduler.0 was no LinearLR'),
        (
            f'{CONFIG}\nparam_scheduler = []\n',
            [],
            'had 1 parameter schedulers, and the config has 0',
        ),
    ],
    ids=['width', 'head', 'optimizer', 'groups', 'scheduler', 'schedulers'],
)
def test_another_run_is_refused(text, options, told):
    message = sentence(resume, text, 'train_cfg.max_iters=4', *options)
    assert told in message and '--fine-tune' in message


def test_length_batches_and_workers_may_differ():
    resume(SCHEDULED, 'train_cfg.max_iters=3', 'train_dataloader.num_workers=1')
    assert Path('work_dirs/tiny/iter_3.pth').is_file()

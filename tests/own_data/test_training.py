"""A training on a folder, from the look at it to the report."""

import os
import time

import pytest
from tiny_run import command, forget_visualizers, sentence

import segheads
from segheads.configs.loading import load_config
from segheads.own_data import networks, training
from segheads.own_data.choices import Length
from segheads.own_data.training import prepare, train_on_data
from segheads_command import as_function


@pytest.fixture
def tiny(workspace, monkeypatch):
    """A workspace whose only network is a tiny one, and two images to a batch."""
    (workspace / 'data' / 'classes.txt').write_text('ground\nwall\nsky\n')
    monkeypatch.setattr(networks, 'model_files', lambda: dict(ccaseg_b0=workspace / 'tiny.py'))
    monkeypatch.setattr(networks, 'ON_CPU', ('ccaseg_b0',))
    monkeypatch.setattr('segheads.own_data.choices.BATCH_SIZE', 2)
    monkeypatch.setattr('segheads.own_data.choices.MOST_WORKERS', 0)
    return workspace


def test_from_folder_to_prediction(tiny, capsys):
    """The model predicts, the config is left as written and trains again, a run is not replaced."""
    model = segheads.train('data', iterations=2, rehearsed=False)
    folder = tiny / 'work_dirs' / 'data'
    said = capsys.readouterr().out
    for word in ('classes', 'classes.txt', 'random weights', 'predict', 'export', 'best.pth'):
        assert word in said
    assert model.dataset_meta['classes'] == ['ground', 'wall', 'sky']
    assert segheads.predict(model, 'data/images/val/0.png').shape == (40, 48)
    assert {'best.pth', 'report.html', 'config.py', 'train.txt'} <= set(os.listdir(folder))
    text = (folder / 'config.py').read_text()
    assert text.startswith('# `segheads train work_dirs/data/config.py` trains by this file')
    assert '# Learning rate: 0.001, since all weights are random' in text

    assert 'holds the checkpoints of a run' in sentence(train_on_data, 'data')
    forget_visualizers()
    again = str(folder / 'config.py')
    command('train')([again, '--cfg-options', 'train_cfg.max_iters=3', '--resume'])
    assert (folder / 'iter_3.pth').is_file()
    assert (folder / 'config.py').read_text() == text


@pytest.fixture
def unreported(monkeypatch):
    """No report, which takes seconds."""
    monkeypatch.setattr(training, 'report', lambda *arguments, **settings: 'report.html')


def test_fine_tuning_brings_the_network(tiny, unreported, capsys):
    """Without a name the network is that of the checkpoint."""
    segheads.train('data', iterations=1, rehearsed=False)
    forget_visualizers()
    networks.model_files().clear()
    segheads.train(
        'data', out='second', fine_tune='work_dirs/data/best.pth', iterations=1, rehearsed=False
    )
    assert 'the network and the weights of work_dirs/data/best.pth' in capsys.readouterr().out
    cfg = load_config('second/config.py')
    assert cfg.model.backbone.embed_dims == 8
    first_line = (tiny / 'second' / 'config.py').read_text().partition('\n')[0]
    assert '--fine-tune work_dirs/data/best.pth' in first_line


def test_time(tiny, unreported):
    """A few seconds are a few seconds, and end with a validation."""
    start = time.monotonic()
    train_on_data('data', length=Length(minutes=0.1), rehearsed=False)
    assert time.monotonic() - start < 30
    assert (tiny / 'work_dirs' / 'data' / 'best.pth').is_file()


def test_more_than_255_classes_and_a_test_split(tiny):
    """Everything that ignores pixels ignores the same ones; a test split is tested on."""
    (tiny / 'data' / 'images' / 'val').rename(tiny / 'data' / 'images' / 'test')
    (tiny / 'data' / 'annotations' / 'val').rename(tiny / 'data' / 'annotations' / 'test')
    names = '\n'.join(f'thing {index}' for index in range(300))
    (tiny / 'data' / 'classes.txt').write_text(names)
    cfg = load_config(str(prepare('data', tiny / 'second')))
    assert cfg.model.decode_head.ignore_index == cfg.val_evaluator.ignore_index == 65535
    assert cfg.model.data_preprocessor.seg_pad_val == 65535
    assert cfg.test_dataloader.dataset.ann_file.endswith('test.txt')
    assert cfg.val_dataloader.dataset.data_prefix.img_path.endswith('train')


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['--data', 'nowhere'], 'is not there'),
        (['--data', 'data', '--model', 'ccaseg_b00'], 'did you mean ccaseg_b0?'),
        (['--data', 'data', '--resume'], 'no run to resume'),
        (['--data', 'data', '--fine-tune', 'none.pth'], 'none.pth'),
    ],
)
def test_mistakes_in_the_command(tiny, arguments, told):
    """Each is one sentence, and leaves no work directory behind."""
    assert told in sentence(as_function('train'), arguments)
    assert not (tiny / 'work_dirs').exists()


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        ([], 'name a config'),
        (['tiny.py', '--data', 'data'], 'give one of them'),
        (['tiny.py', '--minutes', '3'], '--minutes goes with --data'),
        (['--data', 'data', '--launcher', 'pytorch'], '--processes'),
        (['--data', 'data', '--minutes', '3', '--epochs', '4'], 'not allowed with'),
    ],
)
def test_arguments_that_exclude_each_other(arguments, told, capsys):
    """They are refused before anything is imported."""
    with pytest.raises(SystemExit):
        as_function('train')(arguments)
    assert told in capsys.readouterr().err


@pytest.mark.parametrize('value', ['0', '-1', 'nan', 'inf', 'ten'])
def test_minutes_that_are_none(value, capsys):
    """They are refused before anything is imported."""
    with pytest.raises(SystemExit):
        as_function('train')(['--data', 'data', '--minutes', value])
    assert 'must be a number above 0' in capsys.readouterr().err

"""The page about training runs, from real runs of a tiny network."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from tiny_run import FROM_SCRATCH, command, forget_visualizers, sentence, write_workspace

from segheads.configs.loading import load_config
from segheads.report.evaluation import ModelOnData, confusion_matrix, intersection_over_union
from segheads.report.plots import running_mean
from segheads.report.run_log import read_run

train = command('train')
report = command('report')


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """A workspace with two runs."""
    workspace = write_workspace(tmp_path_factory.mktemp('runs'))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        for name, options in (
            ('first', []),
            ('second', ['train_cfg.max_iters=4', 'optim_wrapper.optimizer.lr=0.01']),
        ):
            forget_visualizers()
            train(['tiny.py', '--work-dir', f'work_dirs/{name}', *FROM_SCRATCH, *options])
    return workspace


@pytest.fixture
def workspace(runs, tmp_path, monkeypatch):
    copy = tmp_path / 'copy'
    shutil.copytree(runs, copy)
    monkeypatch.chdir(copy)
    yield copy
    forget_visualizers()


class Page(HTMLParser):
    """Collects the text of a page, and everything that a browser would have to fetch."""

    def __init__(self, path):
        super().__init__()
        self.text, self.tags, self.addresses = '', [], []
        self.source = Path(path).read_text(encoding='utf-8')
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [
            value for name, value in attributes if name in ('src', 'href', 'xlink:href')
        ]

    def handle_data(self, data):
        self.text += data


def scalars(work_dir):
    return max(Path(work_dir).glob('*/vis_data/scalars.json'))


def test_two_runs_side_by_side(workspace):
    report(['work_dirs/first', 'work_dirs/second', '--out', 'pages/both.html'])
    page = Page('pages/both.html')
    for expected in (
        'first against second',
        'CCASegHead',
        'MixVisionTransformer',
        'BaseSegDataset, data',
        '2 of 2 images',
        'images/s of 40x48',
        'multiply-adds',
        'difference',
        'Largest differences',
        'PyTorch',
        'train_cfg.max_iters',
        'optim_wrapper.optimizer.lr',
    ):
        assert expected in page.text, expected
    assert 'optimizer.type' not in page.text.partition('Settings that differ')[2]
    assert {path.name for path in Path('pages/both_plots').iterdir()} == {
        *('loss.png', 'lr.png', 'mIoU.png', 'confusion_0.png', 'confusion_1.png')
    }
    assert page.tags.count('svg') == 5
    # Best, worst, different: one image each, with its ground truth and two predictions.
    assert page.tags.count('img') == 3 * 4


def test_a_page_needs_nothing_else(workspace):
    report(['work_dirs/first'])
    page = Page('work_dirs/first/report.html')
    fetched = [a for a in page.addresses if not a.startswith(('data:image/', '#'))]
    assert page.addresses and not fetched
    assert not {'script', 'link', 'iframe'} & set(page.tags)
    assert not re.search(r'@import|url\((?!#)', page.source)


def test_figures_agree_with_the_run(workspace):
    report(['work_dirs/first'])
    page = Page('work_dirs/first/report.html')
    logged = [json.loads(line) for line in scalars('work_dirs/first').read_text().splitlines()]
    (miou,) = [record['mIoU'] for record in logged if 'mIoU' in record]
    assert f'{miou:.2f} % after 2 iterations' in page.text
    assert f'{miou:.2f} % on 2 of 2 images' in page.text
    run = read_run('work_dirs/first')
    model = ModelOnData(run.config, run.checkpoint)
    parameters = sum(parameter.numel() for parameter in model.model.parameters())
    assert f'{parameters / 1e6:.2f} M' in page.text


def test_ious_are_those_of_the_metric(workspace):
    run = read_run('work_dirs/second')
    model = ModelOnData(run.config, run.checkpoint)
    result = model.evaluate(None, lambda indices: indices)
    metric = Evaluator(dict(type='IoUMetric', iou_metrics=['mIoU']))
    metric.dataset_meta = model.dataset.metainfo
    for index in range(len(model.dataset)):
        prediction, truth, _ = model.predict(index)
        sample = dict(
            pred_sem_seg=dict(data=torch.tensor(prediction)),
            gt_sem_seg=dict(data=torch.tensor(truth)),
        )
        metric.process([sample], {})
    expected = metric.evaluate(2)
    assert np.nanmean(result.class_ious) == pytest.approx(expected['mIoU'], abs=0.006)
    assert list(run.class_ious) == ['ground', 'wall', 'sky']
    assert np.nanmean(list(run.class_ious.values())) == pytest.approx(expected['mIoU'], abs=0.02)


def test_a_config_without_validation_is_evaluated_on_its_test_data(workspace):
    run = read_run('work_dirs/first')
    run.config.val_dataloader = None
    assert ModelOnData(run.config, run.checkpoint).split == 'test'
    run.config.test_dataloader = None
    assert 'no data set' in sentence(ModelOnData, run.config, run.checkpoint)


def test_confusion_by_hand():
    truth = np.array([[0, 0, 1], [1, 255, 2]])
    prediction = np.array([[0, 1, 1], [1, 0, 3]])
    confusion = confusion_matrix(prediction, truth, 4, {255})
    assert confusion.tolist() == [
        [1, 1, 0, 0, 0],
        [0, 2, 0, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0],
    ]
    assert intersection_over_union(confusion).tolist() == [1 / 2, 2 / 3, 0, 0]
    # A head with more outputs than the data set has classes.
    confusion = confusion_matrix(prediction, truth, 3, {255})
    assert confusion[2].tolist() == [0, 0, 0, 1]
    assert intersection_over_union(confusion).tolist() == [1 / 2, 2 / 3, 0]


def test_without_a_model_the_log_is_reported(workspace, capsys):
    Path('work_dirs/first/iter_2.pth').unlink()
    report(['work_dirs/first', 'work_dirs/second'])
    note = 'first was not evaluated: there is no checkpoint'
    page = Page('work_dirs/first/report.html')
    assert note in capsys.readouterr().out and note in page.text
    assert 'in the last validation that the log has' in page.text
    shutil.rmtree('data')
    report(['work_dirs/second', '--out', 'second.html'])
    assert 'the image folder data/images/val' in Page('second.html').text
    report(['work_dirs/second', '--no-evaluate', '--out', 'second.html'])
    page = Page('second.html')
    assert 'was not evaluated' not in page.text and 'img' not in page.tags


def test_a_checkpoint_of_another_model(workspace):
    path = 'work_dirs/first/iter_2.pth'
    checkpoint = torch.load(path, weights_only=False)
    del checkpoint['state_dict']['decode_head.conv_seg.bias']
    torch.save(checkpoint, path)
    report(['work_dirs/first'])
    assert 'does not fit' in Page('work_dirs/first/report.html').text


def test_what_is_written_by_others_is_escaped(workspace):
    evil = '<script>alert(1)</script>'
    config = max(Path('work_dirs/first').glob('*/vis_data/config.py'))
    config.write_text(config.read_text() + f'\nremark = {evil!r}\n')
    config.write_text(config.read_text().replace("'ground'", "'<b>$ground'"))
    shutil.move('work_dirs/first', 'work_dirs/<i>first')
    report(['work_dirs/<i>first', '--out', 'page.html'])
    page = Page('page.html')
    assert not {'script', 'b', 'i'} & set(page.tags)
    assert evil in page.text and '<b>$ground' in page.text and '<i>first' in page.text


def test_a_run_that_was_resumed(workspace):
    """The later session replaces what the interrupted one had done beyond its checkpoint."""
    older = scalars('work_dirs/first')
    newer = older.parents[2] / '99990101_000000' / 'vis_data'
    newer.mkdir(parents=True)
    shutil.copy(older.with_name('config.py'), newer)
    (newer / 'scalars.json').write_text(
        json.dumps(dict(loss=7.0, lr=0.1, step=2)) + '\n' + json.dumps(dict(loss=6.0, step=3))
    )
    run = read_run('work_dirs/first')
    assert list(run.training) == [1, 2, 3]
    assert [run.training[step]['loss'] for step in (2, 3)] == [7.0, 6.0]
    assert not run.validation and run.best is None


def test_a_log_that_ends_in_half_a_line(workspace):
    log = scalars('work_dirs/first')
    log.write_text(log.read_text() + '{"lr": 0.001, "los')
    report(['work_dirs/first', '--no-evaluate'])
    assert '1 damaged lines' in Page('work_dirs/first/report.html').text


def test_folders_without_a_run(workspace):
    assert 'nowhere does not exist' in sentence(report, ['nowhere'])
    assert 'data holds no run' in sentence(report, ['data'])
    assert 'is a folder' in sentence(report, ['work_dirs/second', '--out', 'data'])
    log = scalars('work_dirs/first')
    log.write_bytes(b'\x00\xff garbage')
    assert 'empty or damaged' in sentence(report, ['work_dirs/first'])
    (scalars('work_dirs/second').parent / 'config.py').write_text('model = dict(')
    assert 'config.py is damaged' in sentence(report, ['work_dirs/second'])
    (scalars('work_dirs/second').parent / 'config.py').unlink()
    assert 'holds no config' in sentence(report, ['work_dirs/second'])


def test_runs_of_the_same_name_are_told_apart(workspace):
    shutil.copytree('work_dirs/first', 'other/first')
    report(['work_dirs/first', 'other/first', '--no-evaluate', '--out', 'page.html'])
    assert 'work_dirs/first against other/first' in Page('page.html').text


def test_a_moved_work_dir_finds_its_checkpoint(workspace):
    assert read_run('work_dirs/second').checkpoint.name == 'iter_4.pth'
    shutil.move('work_dirs/second', 'elsewhere')
    run = read_run('elsewhere')
    assert run.checkpoint == Path('elsewhere/iter_4.pth')
    assert load_config('tiny.py').model.decode_head == run.config.model.decode_head


def test_running_mean():
    assert running_mean([1.0, 2.0, 6.0, float('nan'), 1.0, 3.0], 2).tolist()[:3] == [1.0, 1.5, 4.0]
    assert running_mean([1.0, float('nan'), 1.0, 3.0], 2)[3] == 2.0


def test_images_are_numbers_or_all(workspace):
    for wrong in ('0', '-1', 'some'):
        with pytest.raises(SystemExit):
            report(['work_dirs/first', '--images', wrong])
    report(['work_dirs/first', '--images', '1'])
    assert 'on 1 of 2 images' in Page('work_dirs/first/report.html').text

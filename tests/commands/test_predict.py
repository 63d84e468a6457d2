"""tools/predict.py: files in, class maps and overlays out."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import ROOT, command, sentence, write_workspace

import segheads
from segheads.configs.loading import load_config
from segheads.inference.file_run import FileRun
from segheads.inference.output_files import OutputFiles, save_class_map
from segheads.inference.predictor import Predictor
from segheads.inference.videos import draw_frame

run_predict = command('predict')


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A checkpoint of random weights, and photos of two sizes in a folder of folders."""
    monkeypatch.chdir(write_workspace(tmp_path))
    with pytest.warns(UserWarning, match='random'):
        model = segheads.load('tiny.py', device='cpu')
    torch.save(dict(state_dict=model.state_dict()), 'tiny.pth')
    Path('photos/more').mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, size in [('a.png', (40, 48)), ('b.jpg', (36, 50)), ('more/A.png', (40, 48))]:
        pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(Path('photos', name))
    Path('photos/notes.txt').write_text('no image')
    return tmp_path


def run(*arguments):
    run_predict(['tiny.py', 'tiny.pth', *arguments, '--device', 'cpu'])


def written(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob('*.*'))


@pytest.mark.parametrize('batch_size', ['1', '2'])
def test_a_folder(workspace, batch_size, capsys):
    run('photos', '--batch-size', batch_size)
    assert written('predictions') == [
        *('class_maps/a.png', 'class_maps/b.png', 'class_maps/more/A.png'),
        *('overlays/a.jpg', 'overlays/b.jpg', 'overlays/more/A.jpg'),
    ]
    model = segheads.load('tiny.py', 'tiny.pth', 'cpu')
    for name, photo in [('a', 'a.png'), ('b', 'b.jpg'), ('more/A', 'more/A.png')]:
        with Image.open(f'predictions/class_maps/{name}.png') as picture:
            assert picture.mode == 'P'
            palette = np.reshape(picture.getpalette(), (-1, 3))
            class_map = np.array(picture)
        assert palette[:3].tolist() == model.dataset_meta['palette']
        assert np.array_equal(class_map, segheads.predict(model, f'photos/{photo}'))
    assert '3 of 3 files' in capsys.readouterr().out


def test_overlays_with_and_without_legend(workspace):
    run('photos/a.png', '--opacity', '0', '--no-legend', '--out', 'plain')
    with Image.open('plain/overlays/a.jpg') as overlay, Image.open('photos/a.png') as image:
        assert overlay.size == image.size
    run('photos/a.png', '--out', 'legend')
    with Image.open('legend/overlays/a.jpg') as overlay:
        assert overlay.height > 40


def test_globs_and_files_given_twice(workspace):
    run('photos/*.png', 'photos/a.png', 'photos/**/*.jpg')
    assert written('predictions/class_maps') == ['a.png', 'b.png']


def test_results_of_an_earlier_run_are_no_inputs(workspace):
    for _ in range(2):
        run('photos', '--out', 'photos', '--overwrite')
    assert len(written('photos/class_maps')) == 3


def test_unreadable_files_are_told_at_the_end(workspace, capsys):
    Path('photos/broken.png').write_bytes(Path('photos/a.png').read_bytes()[:100])
    Path('photos/broken.mp4').write_bytes(b'no video')
    Image.new('RGB', (20, 40)).save('photos/tiny.png')
    with pytest.raises(SystemExit) as ended:
        run('photos', '--batch-size', '4')
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert '3 of 6 files predicted' in captured.out
    assert '\n  photos/broken.png cannot be read' in captured.err
    assert 'photos/broken.mp4 holds no frame' in captured.err
    assert 'photos/tiny.png: an image of 20x40 pixels is too small' in captured.err
    assert written('predictions/class_maps') == ['a.png', 'b.png', 'more/A.png']


@pytest.mark.parametrize('legend', [True, False])
def test_a_video(workspace, legend):
    writer = cv2.VideoWriter('street.avi', cv2.VideoWriter_fourcc(*'MJPG'), 10, (48, 40))
    frames = np.random.default_rng(0).integers(0, 256, (5, 40, 48, 3), dtype=np.uint8)
    for frame in frames:
        writer.write(cv2.resize(frame[:4, :4], (48, 40)))
    writer.release()
    run('street.avi', '--batch-size', '2', *([] if legend else ['--no-legend']))
    maps = written('predictions/class_maps/street')
    assert maps == [f'{index:06d}.png' for index in range(5)]

    capture = cv2.VideoCapture('street.avi')
    _, first = capture.read()
    model = segheads.load('tiny.py', 'tiny.pth', 'cpu')
    class_map = np.array(Image.open('predictions/class_maps/street/000000.png'))
    assert np.array_equal(class_map, segheads.predict(model, first[..., ::-1]))

    overlay = cv2.VideoCapture('predictions/overlays/street.mp4')
    assert overlay.get(cv2.CAP_PROP_FRAME_COUNT) == 5 and overlay.get(cv2.CAP_PROP_FPS) == 10
    _, picture = overlay.read()
    assert picture.shape[1] == 48
    assert picture.shape[0] > 50 if legend else picture.shape[0] == 40


def test_a_frame_of_odd_sides_is_padded(workspace):
    model = segheads.load('tiny.py', 'tiny.pth', 'cpu')
    run = FileRun(Predictor(model), OutputFiles(workspace), opacity=0.0, legend=False)
    frame = np.random.default_rng(0).integers(0, 256, (41, 49, 3), dtype=np.uint8)
    picture = draw_frame(frame, np.zeros((41, 49), dtype=int), np.array([1, 0, 0]), run)
    assert picture.shape == (42, 50, 3)
    assert np.array_equal(picture[:41, :49], frame)


def test_more_than_255_classes(workspace):
    meta = dict(palette=[[0, 0, 0]] * 300)
    save_class_map(np.array([[0, 299]]), workspace / 'map.png', meta)
    assert np.array(Image.open('map.png')).tolist() == [[0, 299]]


def test_mistakes(workspace, capsys):
    assert 'nowhere does not exist' in sentence(run, 'nowhere')
    Path('empty').mkdir()
    assert 'empty holds no image' in sentence(run, 'empty')
    assert 'folder photos/a.png/class_maps cannot be made' in sentence(
        run, 'photos', '--out', 'photos/a.png'
    )
    for option in (['--batch-size', '0'], ['--opacity', '2']):
        with pytest.raises(SystemExit):
            run('photos', *option)
        assert 'must be' in capsys.readouterr().err


def test_it_starts_in_a_process_of_its_own():
    """Here segheads has been imported before; there it must come before MMSegmentation."""
    command = [sys.executable, str(ROOT / 'tools' / 'predict.py'), '--help']
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.startswith('usage: '), done.stderr


def test_results_of_an_earlier_run_stay(workspace, capsys):
    run('photos/a.png')
    before = Path('predictions/class_maps/a.png').read_bytes()
    Path('predictions/class_maps/a.png').write_bytes(b'mine')
    told = sentence(run, 'photos')
    assert told.startswith('predictions/class_maps/a.png') and '--overwrite' in told
    assert written('predictions/class_maps') == ['a.png']
    run('photos', '--resume')
    assert Path('predictions/class_maps/a.png').read_bytes() == b'mine'
    printed = capsys.readouterr().out
    assert '1 of 3 files had their results already' in printed and '2 of 2 files' in printed
    run('photos', '--overwrite')
    assert Path('predictions/class_maps/a.png').read_bytes() == before


def test_what_is_incomplete_is_done_again(workspace, capsys):
    run('photos')
    Path('predictions/overlays/b.jpg').unlink()
    run('photos', '--resume')
    assert '1 of 1 files predicted' in capsys.readouterr().out
    assert len(written('predictions/overlays')) == 3


def test_a_checkpoint_is_enough(workspace):
    content = torch.load('tiny.pth', weights_only=True)
    content['meta'] = dict(cfg=load_config('tiny.py').pretty_text)
    torch.save(content, 'alone.pth')
    run_predict(['alone.pth', 'photos/a.png', '--device', 'cpu'])
    run('photos/a.png', '--out', 'both')
    maps = [Path(folder, 'class_maps/a.png').read_bytes() for folder in ('predictions', 'both')]
    assert maps[0] == maps[1]
    told = sentence(run_predict, ['tiny.py', 'photos'])
    assert 'tiny.py is a config, so that a checkpoint' in told


def test_scores_and_probabilities(workspace):
    run('photos', '--scores', '--probabilities', '--tta', '--batch-size', '2')
    model = segheads.load('tiny.py', 'tiny.pth', 'cpu')
    expected = segheads.predict(
        model, 'photos/b.jpg', scores=True, probabilities=True, augmented=True
    )
    with Image.open('predictions/scores/b.png') as picture:
        assert picture.mode == 'I;16'
        scores = np.array(picture) / 65535
    np.testing.assert_allclose(scores, expected.scores, atol=1e-5)
    stored = np.load('predictions/probabilities/b.npz')
    assert stored['probabilities'].dtype == np.float16
    np.testing.assert_allclose(stored['probabilities'], expected.probabilities, atol=1e-3)
    assert stored['classes'].tolist() == model.dataset_meta['classes']
    assert written('predictions/scores') == ['a.png', 'b.png', 'more/A.png']


def test_processes_share_the_files(workspace):
    Path('photos/broken.png').write_bytes(b'no image')
    arguments = ['tiny.py', 'tiny.pth', 'photos', '--device', 'cpu', '--processes', '2']
    done = subprocess.run(
        [sys.executable, '-m', 'segheads_command', 'predict', *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=dict(os.environ, PYTHONPATH=f'{ROOT}', OMP_NUM_THREADS='1'),
    )
    assert done.returncode == 1, done.stderr
    assert '3 of 4 files predicted' in done.stdout
    assert done.stderr.count('photos/broken.png cannot be read') == 1
    assert 'Traceback' not in done.stderr
    assert written('predictions/class_maps') == ['a.png', 'b.png', 'more/A.png']

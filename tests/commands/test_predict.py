"""tools/predict.py: files in, class maps and overlays out."""

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
from segheads.inference.files import Settings, save_class_map
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
        *('class_maps/A_2.png', 'class_maps/a.png', 'class_maps/b.png'),
        *('overlays/A_2.jpg', 'overlays/a.jpg', 'overlays/b.jpg'),
    ]
    model = segheads.load('tiny.py', 'tiny.pth', 'cpu')
    for name, photo in [('a', 'a.png'), ('b', 'b.jpg'), ('A_2', 'more/A.png')]:
        class_map = np.array(Image.open(f'predictions/class_maps/{name}.png'))
        assert class_map.dtype == np.uint8
        assert np.array_equal(class_map, segheads.predict(model, f'photos/{photo}'))
    printed = capsys.readouterr().out
    assert 'photos/more/A.png is written as A_2' in printed and '3 of 3 files' in printed


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
        run('photos', '--out', 'photos')
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
    assert written('predictions/class_maps') == ['A_2.png', 'a.png', 'b.png']


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
    settings = Settings(model, workspace, workspace, 1, opacity=0.0, legend=False)
    frame = np.random.default_rng(0).integers(0, 256, (41, 49, 3), dtype=np.uint8)
    picture = draw_frame(frame, np.zeros((41, 49), dtype=int), np.array([1, 0, 0]), settings)
    assert picture.shape == (42, 50, 3)
    assert np.array_equal(picture[:41, :49], frame)


def test_more_than_256_classes(workspace, monkeypatch):
    model = segheads.load('tiny.py', 'tiny.pth', 'cpu')
    model.dataset_meta = dict(classes=['x'] * 300, palette=[[0, 0, 0]] * 300)
    save_class_map(np.array([[0, 299]]), workspace / 'map.png', model)
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

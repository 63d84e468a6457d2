"""What predict takes beside arrays and paths, and how it answers what is no image."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_run import sentence, write_workspace

import segheads


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return write_workspace(tmp_path_factory.mktemp('workspace'))


@pytest.fixture(scope='module')
def model(folder):
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match='random'):
        model = segheads.load(folder / 'tiny.py', device='cpu')
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    return model


@pytest.fixture(scope='module')
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def expected(model, image):
    return segheads.predict(model, image)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32, torch.float64])
def test_tensors(model, image, expected, dtype):
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    if dtype.is_floating_point:
        tensor = tensor.to(dtype) / 255
    assert np.array_equal(segheads.predict(model, tensor), expected)
    batch = segheads.predict(model, torch.stack([tensor, tensor.flip(1)]))
    assert len(batch) == 2 and np.array_equal(batch[0], expected)
    assert np.array_equal(batch[1], segheads.predict(model, image[::-1].copy()))


def test_the_content_of_a_file(model, image, expected, tmp_path):
    content = cv2.imencode('.png', image[..., ::-1])[1].tobytes()
    for same in (content, bytearray(content), memoryview(content)):
        assert np.array_equal(segheads.predict(model, same), expected)


def test_an_iterator_is_asked_for_one_batch_at_a_time(model, image):
    asked = []
    images = (asked.append(index) or np.roll(image, index, axis=0) for index in range(40))
    results = segheads.predict(model, images, batch_size=2)
    assert not asked
    first = next(results)
    assert np.array_equal(first, segheads.predict(model, image)) and len(asked) == 2
    third = [next(results), next(results)][1]
    assert np.array_equal(third, segheads.predict(model, np.roll(image, 2, axis=0)))


def test_an_iterator_keeps_its_order(model, image):
    images = [image[: 40 - index % 3, :, :] for index in range(7)]
    results = segheads.predict(model, iter(images), batch_size=3)
    assert [result.shape for result in results] == [each.shape[:2] for each in images]


def test_folders_and_videos(model, folder):
    found = segheads.predict(model, folder / 'data' / 'images')
    path = folder / 'data' / 'images' / 'val' / '0.png'
    assert len(found) == 6 and np.array_equal(found[path], segheads.predict(model, path))
    video = folder / 'street.avi'
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*'MJPG'), 10, (48, 40))
    for value in range(3):
        writer.write(np.full((40, 48, 3), 80 * value, np.uint8))
    writer.release()
    frames = list(segheads.predict(model, str(video), batch_size=2))
    _, first = cv2.VideoCapture(str(video)).read()
    assert len(frames) == 3
    assert np.array_equal(frames[0], segheads.predict(model, first[..., ::-1]))


def test_a_list_shows_its_progress_on_request(model, image, capsys):
    segheads.predict(model, [image] * 2, progress=True)
    captured = capsys.readouterr()
    assert 'Predicting' in captured.err and captured.out == ''
    segheads.predict(model, [image] * 2)  # stderr is no terminal here
    assert capsys.readouterr().err == ''


def test_drawing_predicts_by_itself(model, image, expected):
    drawn = np.asarray(segheads.draw(model, image))
    assert np.array_equal(drawn, np.asarray(segheads.draw(model, image, expected)))


@pytest.mark.parametrize(
    ('given', 'told'),
    [
        (b'', 'the content of 0 bytes cannot be read as an image: it is empty'),
        (b'no image', 'the content of 8 bytes cannot be read'),
        ([], 'the list is empty'),
        ((), 'the list is empty'),
        ('missing.png', 'the image missing.png does not exist'),
        ('missing.mp4', 'the video missing.mp4 does not exist'),
        (3, 'an image is a path'),
        (None, 'an image is a path'),
        ({'a': 1}, 'an image is a path'),
        (np.zeros((0, 0, 3), np.uint8), 'an array is an image if'),
        (torch.zeros(40, 48), 'has the shape (C, H, W)'),
        (torch.zeros(0, 3, 40, 48), 'the list is empty'),
        (torch.zeros(40, 48, 3), 'move the channels to the front'),
        (torch.full((3, 40, 48), 2.0), 'values from 0 to 1, but got 2 to 2'),
        (torch.full((3, 40, 48), torch.nan), 'values from 0 to 1'),
        ([torch.zeros(2, 3, 40, 48)], 'several if it has (B, C, H, W)'),
    ],
)
def test_what_is_no_image_is_a_sentence(model, given, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert told in sentence(segheads.predict, model, given)


def test_empty_folders_and_open_files(model, tmp_path):
    assert 'holds no image' in sentence(segheads.predict, model, tmp_path)
    Path(tmp_path, 'broken.avi').write_bytes(b'no video')
    assert 'holds no frame' in sentence(segheads.predict, model, tmp_path / 'broken.avi')
    with open(tmp_path / 'broken.avi', 'rb') as stream:
        assert 'an image is a path' in sentence(segheads.predict, model, stream)

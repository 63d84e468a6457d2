"""Overlay videos: complete or not there, and played by a browser."""

import shutil

import cv2
import numpy as np
import pytest

from segheads.inference import video_writer
from segheads.inference.video_writer import VideoWriter

CODECS = {'h264': True, 'vp9': False}
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'chrome'))), None)


@pytest.fixture(params=CODECS)
def codec(request, monkeypatch):
    if CODECS[request.param]:
        pytest.importorskip('av')
    else:
        monkeypatch.setattr(video_writer, 'find_spec', lambda name: None)
    return request.param


def pictures():
    for step in range(12):
        picture = np.zeros((64, 96, 3), np.uint8)
        picture[:, : 8 * step] = (200, 40, 60)
        yield picture


def write(path, rate=10.0):
    with VideoWriter(path, rate) as video:
        for picture in pictures():
            video.write(picture)


def test_frames_come_back(tmp_path, codec):
    path = tmp_path / 'street.mp4'
    write(path, rate=30000 / 1001)
    assert [file.name for file in tmp_path.iterdir()] == ['street.mp4']
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(30000 / 1001, abs=0.01)
    for picture in pictures():
        is_frame, frame = capture.read()
        assert is_frame and np.abs(frame[..., ::-1].astype(int) - picture).mean() < 8
    assert not capture.read()[0]


def test_what_ends_early_leaves_nothing(tmp_path, codec):
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / 'street.mp4', 10) as video:
        video.write(next(pictures()))
        raise RuntimeError('ended')
    with VideoWriter(tmp_path / 'empty.mp4', 10):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(
    not (CHROMIUM and shutil.which('chromedriver')), reason='needs chromium and chromedriver'
)
def test_a_browser_plays_it(tmp_path, codec):
    webdriver = pytest.importorskip('selenium.webdriver')
    write(tmp_path / 'street.mp4')
    page = tmp_path / 'page.html'
    page.write_text('<video src="street.mp4" muted></video>')
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'):
        options.add_argument(argument)
    options.add_argument(f'--user-data-dir={tmp_path / "profile"}')
    service = webdriver.ChromeService(shutil.which('chromedriver'))
    with webdriver.Chrome(options=options, service=service) as browser:
        browser.set_script_timeout(60)
        browser.get(page.as_uri())
        played = browser.execute_async_script("""
            const done = arguments[0], video = document.querySelector('video');
            video.onended = () => done([video.videoWidth, video.videoHeight, video.currentTime]);
            video.onerror = () => done(video.error.message);
            video.play().catch(error => done(String(error)));
        """)
    assert played == [96, 64, pytest.approx(1.2, abs=0.2)], played

"""The page's server, without a browser."""

import asyncio
import base64
import io
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import segheads
from segheads.inference.images import read_image

pytest.importorskip('fastapi')

from fastapi import HTTPException, Request  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402

from segheads.web import app, uploads  # noqa: E402

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
PNG = {'Content-Type': 'image/png'}


def encode(pixels=PIXELS, kind='PNG', **settings):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **settings)
    return stream.getvalue()


def png_that_claims(width, height):
    """A PNG of a few bytes whose header announces many pixels."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', check)

    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        [chunk(b'IHDR', header), chunk(b'IDAT', data), chunk(b'IEND', b'')]
    )


def ask(client, content, model=0, headers=PNG):
    return client.post(f'/api/predict?model={model}', content=content, headers=headers)


def refusal(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()['detail']


def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get('/')
    assert '<h1>segheads</h1>' in page.text
    assert "default-src 'self'" in page.headers['Content-Security-Policy']
    for name in ('', 'page.css', 'page.js'):
        answer = client.get(f'/{name}')
        assert answer.status_code == 200 and 'http' not in answer.text
    assert client.get('/icon.svg').headers['Content-Type'] == 'image/svg+xml'
    assert client.get('/docs').status_code == 404


def test_models_and_limits(client):
    offered = client.get('/api/models').json()
    assert [model['label'] for model in offered['models']] == ['first', 'second']
    assert [model['checkpoint'] for model in offered['models']] == ['first.pth', None]
    assert offered['models'][1]['classes'][1] == {'name': 'tree', 'colour': '#00c800'}
    assert offered['limits']['bytes'] == uploads.MAX_BYTES


def test_samples_are_pictures(client):
    count = client.get('/api/models').json()['samples']
    for number in range(count):
        with Image.open(io.BytesIO(client.get(f'/api/samples/{number}').content)) as image:
            assert np.array_equal(np.asarray(image), read_image(app.SAMPLES[number]))
    assert client.get(f'/api/samples/{count}').status_code == 404
    assert client.get('/api/samples/-1').status_code == 404


@pytest.mark.parametrize('model', [0, 1])
def test_a_prediction(client, served, model):
    answer = ask(client, encode(), model)
    assert answer.headers['Cache-Control'] == 'no-store'
    result = answer.json()
    class_map = np.frombuffer(base64.b64decode(result['classMap']), dtype='<u2').reshape(40, 56)
    assert np.array_equal(class_map, segheads.predict(served[model].model, PIXELS))
    assert (result['width'], result['height']) == (56, 40) and result['seconds'] > 0
    assert result['areas'] == [(class_map == index).mean() for index in range(3)]


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'BMP'])
def test_formats_that_are_accepted(client, kind):
    assert ask(client, encode(kind=kind)).status_code == 200


@pytest.mark.parametrize(
    'content',
    [
        encode(kind='GIF'),
        encode(kind='TIFF'),
        b'no picture',
        b'',
        b'<svg/>',
        b'%!PS-Adobe-3.0 EPSF',
    ],
)
def test_whatever_else_is_refused(client, content):
    assert 'is not a picture in one of the formats JPEG' in refusal(ask(client, content), 422)


def test_a_damaged_picture(client):
    assert 'damaged' in refusal(ask(client, encode()[:2000]), 422)


def test_only_the_types_of_pictures(client):
    for kind in ('text/plain', 'multipart/form-data; boundary=x', 'application/octet-stream'):
        assert 'only pictures' in refusal(
            ask(client, encode(), headers={'Content-Type': kind}), 415
        )
    assert client.post('/api/predict?model=0').status_code == 415


def test_a_large_picture_is_scaled_down(client):
    result = ask(client, encode(np.zeros((300, 2560, 3), dtype=np.uint8), 'JPEG')).json()
    assert (result['width'], result['height']) == (uploads.MAX_SIDE, 150)


def test_the_rotation_of_cameras(client):
    exif = Image.new('RGB', (1, 1)).getexif()
    exif[0x0112] = 6
    result = ask(client, encode(kind='JPEG', exif=exif)).json()
    assert (result['width'], result['height']) == (40, 56)


def test_a_picture_too_small_for_the_model(client):
    assert 'too small' in refusal(ask(client, encode(PIXELS[:9])), 422)


@pytest.mark.parametrize('size', [(8000, 8000), (60000, 60000)])
def test_too_many_pixels_are_refused_before_decoding(client, monkeypatch, size):
    monkeypatch.setattr(uploads, 'read_image', lambda image: pytest.fail('it was decoded'))
    assert 'at most 50 million' in refusal(ask(client, png_that_claims(*size)), 422)


def test_too_many_bytes(client, monkeypatch):
    monkeypatch.setattr(app, 'MAX_BYTES', 2**20)
    assert 'larger than 1 MB' in refusal(ask(client, bytes(2**20 + 1)), 413)
    assert 'not a picture' in refusal(ask(client, bytes(2**20)), 422)


def test_reading_stops_where_it_is_too_much():
    received = []

    async def receive():
        received.append(2**20)
        return {'type': 'http.request', 'body': bytes(2**20), 'more_body': True}

    scope = {'type': 'http', 'headers': [(b'content-type', b'image/png')]}
    with pytest.raises(HTTPException):
        asyncio.run(app.read_upload(Request(scope, receive)))
    assert sum(received) == uploads.MAX_BYTES + 2**20


def test_other_web_sites_are_refused(client):
    assert client.get('/', headers={'Host': 'evil.test'}).status_code == 400
    for origin in ('http://evil.test', 'http://testserver:81', 'null'):
        answer = ask(client, encode(), headers=dict(PNG, Origin=origin))
        assert 'another web site' in refusal(answer, 403)
    own = dict(PNG, Origin='http://testserver')
    assert ask(client, encode(), headers=own).status_code == 200


def test_a_model_that_is_not_there(client):
    for model in (2, -1):
        assert 'there are 2 models' in refusal(ask(client, encode(), model), 404)
    assert client.post('/api/predict?model=x', content=b'', headers=PNG).status_code == 422


def test_two_users_at_once_are_served_one_after_the_other(client, monkeypatch):
    inside, together = [], threading.Event()
    predict = app.predict

    def watched(*arguments):
        inside.append(1)
        if len(inside) == 2:
            together.set()
        together.wait(0.2)  # the other one would come meanwhile, if it could
        inside.pop()
        return predict(*arguments)

    monkeypatch.setattr(app, 'predict', watched)
    with ThreadPoolExecutor(2) as users:
        answers = list(users.map(lambda model: ask(client, encode(), model), [0, 1]))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert not together.is_set()


def test_a_queue_that_is_full(served, monkeypatch):
    monkeypatch.setattr(app, 'MAX_WAITING', 1)
    started, released = threading.Event(), threading.Event()
    predict = app.predict

    def held(*arguments):
        started.set()
        assert released.wait(10)
        return predict(*arguments)

    monkeypatch.setattr(app, 'predict', held)
    server = app.create_app(served, ['testserver'])
    with TestClient(server) as client, ThreadPoolExecutor(1) as user:
        first = user.submit(ask, client, encode())
        assert started.wait(10)
        assert 'try again' in refusal(ask(client, encode()), 503)
        assert client.get('/api/models').status_code == 200
        released.set()
        assert first.result().status_code == 200
        assert ask(client, encode()).status_code == 200

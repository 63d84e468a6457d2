"""The page's server, without a browser."""

import asyncio
import base64
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from png_files import COLOUR, png_file

import segheads
from segheads.configs.loading import load_config
from segheads.inference.images import ImageReader, LoadedImage

pytest.importorskip('fastapi')

from fastapi import HTTPException, Request  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402

from segheads.web import app, guard, uploads  # noqa: E402
from segheads.web.guard import HEADERS  # noqa: E402

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
PNG = {'Content-Type': 'image/png'}


def encode(pixels=PIXELS, kind='PNG', **settings):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **settings)
    return stream.getvalue()


def png_that_claims(width, height):
    """A PNG of a few bytes whose header announces many pixels."""
    return png_file(width, height, 8, COLOUR, bytes(1000))


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
            assert np.array_equal(np.asarray(image), ImageReader()(app.SAMPLES[number]).picture)
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
    monkeypatch.setattr(uploads, 'ImageReader', lambda cfg: pytest.fail('it was decoded'))
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
    origins = ('http://evil.test', 'http://testserver:81', 'null', 'http://[', '//[::', '', ' ')
    for origin in origins:
        answer = ask(client, encode(), headers=dict(PNG, Origin=origin))
        assert 'another web site' in refusal(answer, 403)
    own = dict(PNG, Origin='http://testserver')
    assert ask(client, encode(), headers=own).status_code == 200


def test_every_answer_has_the_headers(client, served, monkeypatch):
    answers = [
        client.get('/'),
        client.get('/nothing'),
        client.get('/', headers={'Host': 'evil.test'}),
        client.get('/', headers={'Origin': 'http://evil.test'}),
        client.put('/api/models'),
        ask(client, b'', model='x'),
        ask(client, b'no picture'),
    ]
    monkeypatch.setattr(app, 'predict', lambda *arguments: 1 / 0)
    with TestClient(
        app.create_app(served, ['testserver']), raise_server_exceptions=False
    ) as broken:
        answers.append(ask(broken, encode()))
    statuses = [answer.status_code for answer in answers]
    assert statuses == [200, 404, 400, 403, 405, 422, 422, 500]
    for answer in answers:
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


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


class HeldUpload:
    """An upload of which the beginning has arrived, and the rest does not come."""

    def __init__(self, server, size):
        self.sent = []
        self.asked = 0
        self.answered = asyncio.Event()
        scope = dict(
            type='http',
            asgi=dict(version='3.0'),
            http_version='1.1',
            method='POST',
            path='/api/predict',
            query_string=b'model=0',
            headers=[
                (b'host', b'testserver'),
                (b'content-type', b'image/png'),
                (b'content-length', str(size).encode()),
            ],
        )
        self.task = asyncio.create_task(server(scope, self.receive, self.send))

    async def receive(self):
        self.asked += 1
        if self.asked == 1:
            return dict(type='http.request', body=bytes(1000), more_body=True)
        await asyncio.Event().wait()

    async def send(self, message):
        self.sent.append(message)
        if message['type'] == 'http.response.body':
            self.answered.set()

    @property
    def status(self):
        return self.sent[0]['status'] if self.sent else None

    @property
    def headers(self):
        return dict(self.sent[0]['headers'])


def test_uploads_that_are_held_open_take_a_limited_number_of_places(served, monkeypatch):
    monkeypatch.setattr(app, 'MAX_WAITING', 2)
    monkeypatch.setattr(app, 'UPLOAD_SECONDS', 0.2)
    monkeypatch.setattr(guard, 'LINGER_SECONDS', 0.05)
    server = app.create_app(served, ['testserver'])

    async def scenario():
        first = [HeldUpload(server, 2**24) for _ in range(2)]
        while not all(upload.asked > 1 for upload in first):
            await asyncio.sleep(0)
        late = HeldUpload(server, 2**24)
        await late.answered.wait()
        # It was answered without a look at its body, and can be read before the connection ends.
        assert late.status == 503 and late.asked == 0
        assert late.headers[b'connection'] == b'close' and late.sent[-1]['more_body']
        await late.task
        assert not late.sent[-1].get('more_body')
        assert [upload.status for upload in first] == [None, None]

        await asyncio.gather(*(upload.task for upload in first))
        assert [upload.status for upload in first] == [408, 408]
        assert b'did not arrive within 0.2 seconds' in first[0].sent[1]['body']
        again = HeldUpload(server, 2**24)  # the places are free
        while again.asked < 2:
            await asyncio.sleep(0)
        again.task.cancel()

    asyncio.run(scenario())


def test_a_client_that_leaves(served):
    server = app.create_app(served, ['testserver'])

    class Leaving(HeldUpload):
        async def receive(self):
            return dict(type='http.disconnect')

    async def scenario():
        upload = Leaving(server, 100)
        await upload.task
        assert upload.status == 400

    asyncio.run(scenario())


def grey_model():
    """A model of one channel, with random weights."""
    cfg = load_config('tiny.py')
    cfg.model.backbone.in_channels = 1
    cfg.model.data_preprocessor.update(mean=[127.5], std=[127.5])
    cfg.test_dataloader.dataset.pipeline[0] = dict(
        type='LoadImageFromFile', color_type='unchanged', backend_args=dict(backend='local')
    )
    return segheads.load(cfg, device='cpu')


@pytest.mark.filterwarnings('ignore:no checkpoint')
def test_pictures_are_read_as_the_config_reads_them(workspace):
    model = grey_model()
    deep = np.random.default_rng(0).integers(0, 65536, (40, 56), dtype=np.uint16)
    with TestClient(app.create_app([app.ServedModel('x', model, None)], ['testserver'])) as client:
        result = ask(client, encode(deep)).json()
        class_map = np.frombuffer(base64.b64decode(result['classMap']), '<u2').reshape(40, 56)
        assert np.array_equal(class_map, segheads.predict(model, deep))
        large = ask(client, encode(np.tile(deep, (2, 25)))).json()
        assert (large['width'], large['height']) == (uploads.MAX_SIDE, 73)
        assert 'takes images of 1 channels' in refusal(ask(client, encode()), 422)
        # The config leaves pictures as they lie, browsers turn them.
        exif = Image.new('L', (1, 1)).getexif()
        exif[0x0112] = 6
        grey = np.tile(np.arange(56, dtype=np.uint8) * 4, (40, 1))
        turned = ask(client, encode(grey, exif=exif)).json()
        assert (turned['width'], turned['height']) == (40, 56)
        turned_map = np.frombuffer(base64.b64decode(turned['classMap']), '<u2').reshape(56, 40)
        assert np.array_equal(turned_map, np.rot90(segheads.predict(model, grey), -1))


def test_scaling_down_keeps_type_and_channels():
    for pixels in (
        PIXELS,
        PIXELS[..., 0],
        PIXELS.astype(np.uint16),
        np.dstack([PIXELS, PIXELS[..., 0]]),
    ):
        small = uploads.scale_down(LoadedImage(dict(img=pixels), False), 28)
        assert small.shape == (20, 28, *pixels.shape[2:]) and small.pixels.dtype == pixels.dtype
        assert small.results['ori_shape'] == (20, 28)
        assert np.abs(small.pixels.mean() - pixels.mean()) < 1

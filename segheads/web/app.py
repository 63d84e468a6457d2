"""The page's server: models, samples and predictions over HTTP."""

import asyncio
import base64
import io
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.staticfiles import StaticFiles
from mmseg.models import BaseSegmentor
from PIL import Image
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from segheads.inference.drawing import class_areas
from segheads.inference.images import ImageReader
from segheads.inference.prediction import predict
from segheads.mistakes import UserMistake

from .guard import Guard
from .uploads import FORMATS, MAX_BYTES, MAX_PIXELS, MAX_SIDE, decode_upload, turn

STATIC_FILES = Path(__file__).parent / 'static'
LOOPBACK = ('127.0.0.1', 'localhost')
SAMPLES = tuple(f'scenes://288x384/seed0/test/images/{index:06d}.bmp' for index in range(6))
# Each waits with its picture in memory.
MAX_WAITING = 16
# A body that takes longer gives its place to the next one.
UPLOAD_SECONDS = 30.0


@dataclass(frozen=True)
class ServedModel:
    """A model that the page offers.

    Args:
        label (str): What it is called.
        model (BaseSegmentor): The model.
        checkpoint (str | None): Name of its checkpoint; None if its weights are random, which the
            page says.
    """

    label: str
    model: BaseSegmentor
    checkpoint: str | None

    def describe(self) -> dict[str, Any]:
        """Returns what the page has to know."""
        meta = self.model.dataset_meta
        colours = ['#{:02x}{:02x}{:02x}'.format(*colour) for colour in meta['palette']]
        return {
            'label': self.label,
            'checkpoint': self.checkpoint,
            'classes': [
                {'name': name, 'colour': colour}
                for name, colour in zip(meta['classes'], colours, strict=True)
            ],
        }


def create_app(models: Sequence[ServedModel], hosts: Sequence[str] = LOOPBACK) -> ASGIApp:
    """Builds the server.

    Pictures stay in memory while they are predicted, one at a time, and are then forgotten.

    Args:
        models (Sequence[ServedModel]): The models to offer.
        hosts (Sequence[str]): Names under which the server answers; others are refused, so that no
            web site that its visitor opens can reach it under a name of its own. '*' allows all.

    Returns:
        ASGIApp: The server, to be run by uvicorn.
    """
    # No generated documentation: its pages load scripts from the network.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    one_at_a_time = threading.Lock()
    places = threading.BoundedSemaphore(MAX_WAITING)

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))

    @app.get('/api/models')
    async def list_models() -> dict[str, Any]:
        return {
            'models': [served.describe() for served in models],
            'samples': len(SAMPLES),
            'limits': {
                'bytes': MAX_BYTES,
                'pixels': MAX_PIXELS,
                'side': MAX_SIDE,
                'formats': FORMATS,
            },
        }

    @app.get('/api/samples/{number}')
    def sample(number: int) -> Response:
        if not 0 <= number < len(SAMPLES):
            raise HTTPException(404, f'there are {len(SAMPLES)} samples')
        stream = io.BytesIO()
        Image.fromarray(ImageReader()(SAMPLES[number]).picture).save(stream, 'PNG')
        return Response(stream.getvalue(), media_type='image/png')

    @app.post('/api/predict')
    async def predict_upload(request: Request, model: int) -> dict[str, Any]:
        if not 0 <= model < len(models):
            raise HTTPException(404, f'there are {len(models)} models')
        # Before the body is read: who has no place takes no memory.
        if not places.acquire(blocking=False):
            raise HTTPException(503, 'too many pictures are waiting; try again in a moment')
        try:
            content = await read_upload(request)
            # In a thread, so that the page answers meanwhile.
            return await run_in_threadpool(predict_in_turn, models[model].model, content)
        except UserMistake as mistake:
            raise HTTPException(422, str(mistake)) from mistake
        finally:
            places.release()

    def predict_in_turn(model: BaseSegmentor, content: bytes) -> dict[str, Any]:
        with one_at_a_time:
            return _predict(model, content)

    app.mount('/', StaticFiles(directory=STATIC_FILES, html=True))
    return Guard(app)


async def read_upload(request: Request) -> bytes:
    """Reads the body of a request: one picture, as it is, of at most ``MAX_BYTES``.

    Args:
        request (Request): The request.

    Returns:
        bytes: The file.

    Raises:
        HTTPException: 415 if its type is none of pictures; 413 as soon as it is too large; 408 if
            it takes longer than ``UPLOAD_SECONDS``.
    """
    # A form of another web site cannot send this type without asking first.
    if not request.headers.get('content-type', '').startswith('image/'):
        raise HTTPException(415, 'only pictures are accepted')

    content = bytearray()

    async def read() -> None:
        async for chunk in request.stream():
            content.extend(chunk)
            if len(content) > MAX_BYTES:
                raise HTTPException(413, f'the file is larger than {MAX_BYTES // 2**20} MB')

    try:
        await asyncio.wait_for(read(), UPLOAD_SECONDS)
        return bytes(content)
    except asyncio.TimeoutError as error:
        raise HTTPException(
            408, f'the file did not arrive within {UPLOAD_SECONDS:g} seconds'
        ) from error
    except ClientDisconnect as error:
        raise HTTPException(400, 'the file ended early') from error
    finally:
        # An error would hold it for as long as the answer takes.
        content.clear()


def _predict(model: BaseSegmentor, content: bytes) -> dict[str, Any]:
    image, orientation = decode_upload(content, model.cfg)
    start = time.perf_counter()
    class_map = turn(predict(model, image), orientation)
    seconds = time.perf_counter() - start
    height, width = class_map.shape
    areas = class_areas(class_map, len(model.dataset_meta['classes'])) / class_map.size
    return {
        'width': width,
        'height': height,
        'seconds': seconds,
        'areas': areas.tolist(),
        # Class indices row by row, two bytes each, the lower one first.
        'classMap': base64.b64encode(class_map.astype('<u2').tobytes()).decode('ascii'),
    }

"""The page's server: models, samples and predictions over HTTP."""

import base64
import io
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from mmseg.models import BaseSegmentor
from PIL import Image
from starlette.middleware.trustedhost import TrustedHostMiddleware

from segheads.inference.drawing import class_areas
from segheads.inference.images import read_image
from segheads.inference.prediction import predict
from segheads.mistakes import UserMistake

from .uploads import FORMATS, MAX_BYTES, MAX_PIXELS, MAX_SIDE, decode_upload

STATIC_FILES = Path(__file__).parent / 'static'
LOOPBACK = ('127.0.0.1', 'localhost')
SAMPLES = tuple(f'scenes://288x384/seed0/test/images/{index:06d}.bmp' for index in range(6))
# Each waits with its picture in memory.
MAX_WAITING = 16

HEADERS = {
    # The page loads what this server has, and nothing from elsewhere.
    'Content-Security-Policy': "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
}


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


def create_app(models: Sequence[ServedModel], hosts: Sequence[str] = LOOPBACK) -> FastAPI:
    """Builds the server.

    Pictures stay in memory while they are predicted, one at a time, and are then forgotten.

    Args:
        models (Sequence[ServedModel]): The models to offer.
        hosts (Sequence[str]): Names under which the server answers; others are refused, so that no
            web site that its visitor opens can reach it under a name of its own. '*' allows all.

    Returns:
        FastAPI: The server, to be run by uvicorn.
    """
    # No generated documentation: its pages load scripts from the network.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    one_at_a_time = threading.Lock()
    places = threading.BoundedSemaphore(MAX_WAITING)

    @app.middleware('http')
    async def guard(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Refuses requests that the pages of other web sites send."""
        origin = request.headers.get('origin')
        if origin is not None and urlsplit(origin).netloc != request.headers.get('host'):
            response = JSONResponse({'detail': 'the request comes from another web site'}, 403)
        else:
            response = await call_next(request)
        response.headers.update(HEADERS)
        return response

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
        Image.fromarray(read_image(SAMPLES[number])).save(stream, 'PNG')
        return Response(stream.getvalue(), media_type='image/png')

    # Not `async`: FastAPI runs it in a thread, so that the page answers meanwhile.
    @app.post('/api/predict')
    def predict_upload(
        model: int, content: Annotated[bytes, Depends(read_upload)]
    ) -> dict[str, Any]:
        if not 0 <= model < len(models):
            raise HTTPException(404, f'there are {len(models)} models')
        if not places.acquire(blocking=False):
            raise HTTPException(503, 'too many pictures are waiting; try again in a moment')
        try:
            with one_at_a_time:
                return _predict(models[model].model, content)
        except UserMistake as mistake:
            raise HTTPException(422, str(mistake)) from mistake
        finally:
            places.release()

    app.mount('/', StaticFiles(directory=STATIC_FILES, html=True))
    return app


async def read_upload(request: Request) -> bytes:
    """Reads the body of a request: one picture, as it is, of at most ``MAX_BYTES``.

    Args:
        request (Request): The request.

    Returns:
        bytes: The file.

    Raises:
        HTTPException: 415 if its type is none of pictures; 413 as soon as it is too large.
    """
    # A form of another web site cannot send this type without asking first.
    if not request.headers.get('content-type', '').startswith('image/'):
        raise HTTPException(415, 'only pictures are accepted')
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BYTES:
            raise HTTPException(413, f'the file is larger than {MAX_BYTES // 2**20} MB')
    return bytes(content)


def _predict(model: BaseSegmentor, content: bytes) -> dict[str, Any]:
    image = decode_upload(content)
    start = time.perf_counter()
    class_map = predict(model, image)
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

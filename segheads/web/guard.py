"""What every request to the page meets first, and every answer last."""

import asyncio
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    # The page loads what this server has, and nothing from elsewhere.
    'Content-Security-Policy': "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
}
# How long the rest of a body is thrown away, after an answer that did not wait for it.
LINGER_SECONDS = 5.0


class Guard:
    """Refuses requests from the pages of other web sites, and puts headers on every answer.

    It is the outermost layer, so that answers have the headers whoever gives them: other layers
    that refuse a request, and the server when it fails. Where an answer comes before the body of
    its request has arrived, the client can read it, and the connection is closed soon after.

    Args:
        app (ASGIApp): The server.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_unread = 'transfer-encoding' in headers or headers.get('content-length', '0') != '0'

        async def watched_receive() -> Message:
            nonlocal is_unread
            message = await receive()
            is_unread = is_unread and message.get('more_body', False)
            return message

        async def guarded_send(message: Message) -> None:
            if message['type'] == 'http.response.start':
                answer = MutableHeaders(scope=message)
                answer.update(HEADERS)
                if is_unread:
                    answer['Connection'] = 'close'
            elif is_unread and not message.get('more_body', False):
                # Closed at once, the connection would be reset, and the answer lost with it.
                await send(dict(message, more_body=True))
                await _linger(watched_receive)
                message = {'type': 'http.response.body', 'body': b''}
            await send(message)

        async def _linger(watched: Receive) -> None:
            async def discard() -> None:
                while is_unread:
                    await watched()

            try:
                await asyncio.wait_for(discard(), LINGER_SECONDS)
            except asyncio.TimeoutError:
                pass

        if comes_from_elsewhere(headers):
            answer = JSONResponse({'detail': 'the request comes from another web site'}, 403)
            await answer(scope, watched_receive, guarded_send)
        else:
            await self.app(scope, watched_receive, guarded_send)


def comes_from_elsewhere(headers: Headers) -> bool:
    """Tells whether the page of another web site sends a request.

    Args:
        headers (Headers): Headers of the request.

    Returns:
        bool: Whether it has an ``Origin`` that is not this server.
    """
    try:
        origins = {urlsplit(origin).netloc for origin in headers.getlist('origin')}
    except ValueError:  # such as the beginning of an IPv6 address
        return True
    return not origins <= {headers.get('host')}

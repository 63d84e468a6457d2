"""PNG files of forms that Pillow does not write."""

import struct
import zlib

GREY, COLOUR = 0, 2


def png_file(width: int, height: int, bits: int, kind: int, rows: bytes) -> bytes:
    """Makes a file with ``bits`` per channel from rows that each begin with the filter's 0."""
    header = struct.pack('>2I5B', width, height, bits, kind, 0, 0, 0)
    chunks = {b'IHDR': header, b'IDAT': zlib.compress(rows), b'IEND': b''}
    file = b'\x89PNG\r\n\x1a\n'
    for name, content in chunks.items():
        check = zlib.crc32(name + content)
        file += struct.pack('>I', len(content)) + name + content + struct.pack('>I', check)
    return file

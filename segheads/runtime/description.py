"""What an exported file says of its model: one JSON document, in whatever way a format holds it.

In ONNX it is an entry of the metadata, in PyTorch's archives an extra file, beside OpenVINO's two
files a third one. It is read here without the packages that write these formats.
"""

import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .mistakes import RunnerMistake

# The entry of ONNX's metadata, and the file elsewhere.
KEY = 'segheads'
FILE_NAME = 'segheads.json'
FORMAT = 1
SUFFIXES = ('.onnx', '.pt2', '.torchscript')
OPENVINO_MODEL = 'model.xml'
# A description is some kilobytes; what claims more is none.
LARGEST_DESCRIPTION = 2**24
# Numbers of the fields in onnx.proto.
METADATA_PROPS, ENTRY_KEY, ENTRY_VALUE = 14, 1, 2


@dataclass(frozen=True)
class Description:
    """What a file holds beside its network.

    Attributes:
        version (str): Version of segheads that exported it.
        config (str): Name of the config.
        checkpoint (dict): 'name' and 'sha256' of the checkpoint.
        classes (list[str]): Names of the values in a class map.
        palette (list[list[int]]): Their colours, red, green and blue.
        input (dict): What the network takes: 'channels'; 'raw', whether that are the pipeline's
            values, which it normalises and pads itself, or what ``preprocessing`` makes of them;
            'type', 'uint8' or 'float32'; 'smallest', the least height and width.
        output (dict): What it gives: 'kind', 'logits' or 'classes', of the size of the image;
            'channels', the number of logits per pixel; 'threshold' of the probability, where they
            are one; 'align_corners', how they are resized; 'precision', of the weights.
        loading (dict): What is loaded of an image file: 'channels', 'bits', 'blue_first',
            'to_float32' and 'is_turned', whether EXIF's orientation counts.
        test_pipeline (list[dict]): The test pipeline of the config, without annotations.
        preprocessing (dict): 'mean', 'std', 'swap_red_and_blue'; 'size' or 'size_divisor' that
            images are padded to, below and right, with 'pad_value'.
        inference (dict): 'mode', 'whole' or 'slide' with 'crop_size' and 'stride'.
    """

    version: str
    config: str
    checkpoint: dict[str, Any]
    classes: list[str]
    palette: list[list[int]]
    input: dict[str, Any]
    output: dict[str, Any]
    loading: dict[str, Any]
    test_pipeline: list[dict[str, Any]]
    preprocessing: dict[str, Any]
    inference: dict[str, Any]


def is_exported(path: str | os.PathLike) -> bool:
    """Tells exported models from other files and folders, by suffix or by what is inside."""
    path = Path(path)
    return path.suffix.lower() in SUFFIXES or (path / OPENVINO_MODEL).is_file()


def read_description(path: str | os.PathLike) -> Description:
    """Reads what an exported file says of its model.

    Args:
        path (str | os.PathLike): A file whose suffix is of :data:`SUFFIXES`, or a folder of
            OpenVINO's.

    Returns:
        Description: The description.

    Raises:
        RunnerMistake: If the file is missing or damaged, or was not exported by segheads.
    """
    path = Path(path)
    if not path.exists():
        raise RunnerMistake(f'the exported model {path} does not exist')
    try:
        text = _read_text(path)
    except (OSError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise RunnerMistake(f'{path} is damaged, or of another kind than its name says') from error
    if text is None:
        raise RunnerMistake(
            f'{path} does not say how its model is used; export it by `segheads export` of this '
            'version'
        )
    return parse(text, path)


def parse(text: str | bytes, path: Path) -> Description:
    """Reads the JSON document.

    Args:
        text (str | bytes): The document.
        path (Path): The file that it comes from, for the sentence.

    Returns:
        Description: The description.

    Raises:
        RunnerMistake: If it is none, or one of a later version.
    """
    try:
        content = json.loads(text)
        if content['format'] != FORMAT:
            raise RunnerMistake(
                f'{path} was exported by segheads {content["version"]}, which this one does not '
                'understand; update segheads, or export the model anew'
            )
        return Description(**{name: content[name] for name in Description.__dataclass_fields__})
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, RunnerMistake):
            raise
        raise RunnerMistake(f'{path} describes its model in another way than segheads') from error


def summarise(description: Description) -> str:
    """Writes a description for people.

    Args:
        description (Description): The description.

    Returns:
        str: Some lines; the last ones name the classes with their colours.
    """
    given, taken, made = description.preprocessing, description.input, description.output
    values = 'as the test pipeline yields them' if taken['raw'] else 'normalised and padded'
    colours = [bytes(colour).hex() for colour in description.palette]
    padding = given['size'] or (given['size_divisor'] and f'multiples of {given["size_divisor"]}')
    lines = {
        'config': description.config,
        'checkpoint': description.checkpoint['name'],
        'SHA-256': description.checkpoint['sha256'],
        'exported by': f'segheads {description.version}',
        'input': f'{taken["channels"]} channels in {taken["type"]}, {values}, '
        f'{taken["smallest"]} pixels or more per side',
        'output': f'{made["kind"]}, {made["channels"]} per pixel, {made["precision"]}',
        'threshold': made['threshold'],
        'image files': ', '.join(f'{name} {one}' for name, one in description.loading.items()),
        'red and blue': 'swapped' if given['swap_red_and_blue'] else 'kept',
        'mean': given['mean'],
        'standard deviation': given['std'],
        'padded to': padding,
        'inference': ', '.join(f'{one}' for one in description.inference.values() if one),
    }
    steps = [f'  {json.dumps(step)}' for step in description.test_pipeline]
    classes = [
        f'  {index:3} #{colour} {name}'
        for index, (name, colour) in enumerate(zip(description.classes, colours, strict=False))
    ]
    shown = [f'{name}: {value}' for name, value in lines.items() if value is not None]
    return '\n'.join([*shown, 'test pipeline:', *steps, 'classes:', *classes])


def _read_text(path: Path) -> bytes | None:
    if path.is_dir():
        file = path / FILE_NAME
        return file.read_bytes() if file.is_file() else None
    if path.suffix.lower() == '.onnx':
        with path.open('rb') as stream:
            return _onnx_metadata(stream, path.stat().st_size).get(KEY.encode())
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith(f'extra/{FILE_NAME}'):
                if entry.file_size > LARGEST_DESCRIPTION:
                    raise ValueError('too large')
                return archive.read(entry)
    return None


def _onnx_metadata(stream: BinaryIO, size: int) -> dict[bytes, bytes]:
    """Collects the metadata of an ONNX file, passing over the graph without reading it."""
    metadata = {}
    for field, length in _fields(stream, size):
        if field != METADATA_PROPS or length > LARGEST_DESCRIPTION:
            stream.seek(length, os.SEEK_CUR)
            continue
        end = stream.tell() + length
        entry = {number: stream.read(part) for number, part in _fields(stream, end)}
        metadata[entry.get(ENTRY_KEY, b'')] = entry.get(ENTRY_VALUE, b'')
    return metadata


def _fields(stream: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Yields number and length of the fields of a protocol buffer; the caller moves past each."""
    while stream.tell() < end:
        tag = _varint(stream)
        field, wire_type = tag >> 3, tag & 7
        if wire_type == 2:
            length = _varint(stream)
            if stream.tell() + length > end:
                raise ValueError('cut off')
            yield field, length
        elif wire_type == 0:
            _varint(stream)
        elif wire_type in (1, 5):
            stream.seek(8 if wire_type == 1 else 4, os.SEEK_CUR)
        else:
            raise ValueError(f'no protocol buffer: type {wire_type}')


def _varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 64, 7):
        byte = stream.read(1)[0]
        value |= (byte & 127) << shift
        if byte < 128:
            return value
    raise ValueError('no protocol buffer')

"""Class maps of pictures by an exported model, without PyTorch.

Example:
    python -m segheads_runtime model.onnx street.jpg photos/*.png --out class_maps
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .mistakes import RunnerMistake
from .model import ExportedModel, load


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the class map of each picture, and says which could not be read.

    Args:
        arguments (Sequence[str] | None): The arguments; None for those of the process.

    Raises:
        SystemExit: With code 2 if the model cannot be used, with 1 if pictures were left out.
    """
    parser = argparse.ArgumentParser(prog='segheads_runtime', description=__doc__.splitlines()[0])
    parser.add_argument('model', help='.onnx, .pt2, .torchscript, or a folder of OpenVINO')
    parser.add_argument('images', nargs='+', metavar='IMAGE')
    parser.add_argument('--out', type=Path, default=Path('class_maps'), metavar='FOLDER')
    parser.add_argument('--runtime', help='onnxruntime, openvino or torch; default: the fastest')
    parser.add_argument('--device', help='such as cpu or cuda:1')
    parser.add_argument('--threads', type=int, help='on the CPU')
    options = parser.parse_args(arguments)
    settings = dict(runtime=options.runtime, device=options.device, threads=options.threads)
    try:
        model = load(options.model, **settings)
        options.out.mkdir(parents=True, exist_ok=True)
    except (RunnerMistake, OSError) as mistake:
        print(f'error: {mistake}', file=sys.stderr)
        sys.exit(2)
    left_out = 0
    for image in map(Path, options.images):
        try:
            save_class_map(model, model.predict(image), options.out / f'{image.stem}.png')
        except (RunnerMistake, OSError) as mistake:
            print(f'error: {mistake}', file=sys.stderr)
            left_out += 1
    print(f'{len(options.images) - left_out} of {len(options.images)} class maps in {options.out}')
    if left_out:
        sys.exit(1)


def save_class_map(model: ExportedModel, class_map: np.ndarray, path: Path) -> None:
    """Writes class indices as PNG: 8 bits in the colours of the classes, or 16 bits above 256.

    Args:
        model (ExportedModel): The model that found them.
        class_map (numpy.ndarray): Class indices, (H, W).
        path (Path): The file.
    """
    palette = model.description.palette
    if len(palette) > 256:
        Image.fromarray(class_map.astype(np.uint16)).save(path)
        return
    picture = Image.fromarray(class_map.astype(np.uint8))
    picture.putpalette(np.asarray(palette, np.uint8).tobytes())
    picture.save(path)

"""What an exported file says of the model that is in it, written."""

import hashlib
import json
from pathlib import Path
from typing import Any

from mmengine.config import Config

from segheads.inference.images import ImageReader, test_pipeline
from segheads.mistakes import UserMistake
from segheads.registered_types import type_name
from segheads.runtime.description import FORMAT
from segheads.segmentors.image_channels import image_channels
from segheads.version import __version__

from .deployed_model import DeployedModel

# Encoders and heads divide the size of their input by 32.
SMALLEST_SIDE = 32
CHUNK_BYTES = 2**20


def describe(
    model: DeployedModel, config: str = '', checkpoint: str | Path | None = None
) -> dict[str, Any]:
    """Describes a model for the file that it is exported to.

    Args:
        model (DeployedModel): The model.
        config (str): Name of its config. Default: ''.
        checkpoint (str | Path | None): Its checkpoint. Default: None.

    Returns:
        dict: As :class:`segheads.runtime.description.Description` says, and 'format'.

    Raises:
        UserMistake: If the test pipeline cannot be written as JSON.
    """
    segmentor = model.segmentor
    cfg = getattr(segmentor, 'cfg', None) or Config()
    preprocessor = segmentor.data_preprocessor
    is_normalised = preprocessor._enable_normalize
    padding = preprocessor.test_cfg or {}
    meta = getattr(segmentor, 'dataset_meta', None) or {}
    description = dict(
        format=FORMAT,
        version=__version__,
        config=config,
        checkpoint=dict(
            name=Path(checkpoint).name if checkpoint else None,
            sha256=file_hash(checkpoint) if checkpoint else None,
        ),
        classes=list(meta.get('classes') or ()),
        palette=[list(colour) for colour in meta.get('palette') or ()],
        input=dict(
            channels=image_channels(segmentor.backbone),
            raw=model.with_preprocessing,
            type='uint8' if model.takes_bytes else 'float32',
            smallest=SMALLEST_SIDE,
        ),
        output=dict(
            kind='classes' if model.with_argmax else 'logits',
            channels=segmentor.out_channels,
            threshold=model.threshold if segmentor.out_channels == 1 else None,
            align_corners=segmentor.align_corners,
            precision='float32',
        ),
        loading=ImageReader(cfg).form._asdict(),
        test_pipeline=[dict(step, type=type_name(step)) for step in test_pipeline(cfg)],
        preprocessing=dict(
            mean=preprocessor.mean.flatten().tolist() if is_normalised else None,
            std=preprocessor.std.flatten().tolist() if is_normalised else None,
            swap_red_and_blue=preprocessor.channel_conversion,
            size=padding.get('size'),
            size_divisor=padding.get('size_divisor'),
            pad_value=preprocessor.pad_val,
        ),
        inference=dict(
            mode=segmentor.test_cfg.get('mode', 'whole'),
            crop_size=segmentor.test_cfg.get('crop_size'),
            stride=segmentor.test_cfg.get('stride'),
        ),
    )
    try:
        return json.loads(json.dumps(description))
    except TypeError as error:
        raise UserMistake(
            f'the test pipeline of the config holds what cannot be written into a file ({error}); '
            'use numbers, texts and lists in it'
        ) from error


def file_hash(path: str | Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).expanduser().open('rb') as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()

"""A model and its exported file, asked for class maps in every way that a test pipeline has."""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from torch import nn

import segheads
from segheads.export.deployed_model import DeployedModel
from segheads.export.description import describe
from segheads.inference.exported_model import ExportedSegmentor
from segheads.runtime import Description

# Height and width: the smallest, odd ones, and one that is cut into several windows.
SIZES = ((32, 32), (37, 91), (70, 45), (96, 130))
PLAIN = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
RESIZED = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 64), keep_ratio=True),
    dict(type='ResizeToMultiple', size_divisor=32),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
WHOLE = dict(mode='whole')
WINDOWS = dict(mode='slide', crop_size=(48, 64), stride=(32, 40))
# Test pipeline, windows, padding.
WAYS = {
    'whole': (PLAIN, WHOLE, None),
    'resized': (RESIZED, WHOLE, None),
    'windows': (PLAIN, WINDOWS, None),
    'padded': (PLAIN, WHOLE, dict(size_divisor=32)),
    'resized, padded, windows': (RESIZED, WINDOWS, dict(size=(100, 100))),
}


def images() -> list[np.ndarray]:
    """Draw pictures of some sizes: noise, from dark to bright."""
    generator = np.random.default_rng(0)
    return [
        (generator.random((*size, 3)) * np.linspace(20, 255, size[1])[:, None]).astype(np.uint8)
        for size in SIZES
    ]


def set_way(segmentor: nn.Module, way: str) -> None:
    """Let a segmentor see its images in one of ``WAYS``."""
    steps, test_cfg, padding = WAYS[way]
    preprocessor = dict(bgr_to_rgb=True)
    segmentor.cfg = Config(
        dict(test_pipeline=steps, model=dict(data_preprocessor=preprocessor), default_scope='mmseg')
    )
    segmentor.test_cfg = ConfigDict(test_cfg)
    segmentor.data_preprocessor.test_cfg = padding
    count = max(2, segmentor.out_channels)
    segmentor.dataset_meta = dict(
        classes=[f'class {index}' for index in range(count)],
        palette=[[index, 0, 0] for index in range(count)],
    )


def require_same_class_maps(model: DeployedModel, path: Path, **settings: Any) -> None:
    """Require that an exported file finds what its segmentor does, in every way.

    Args:
        model (DeployedModel): What was exported, in any way: the graph does not depend on it, but
            for padding inside.
        path (Path): The file.
        **settings (Any): As for :func:`segheads.load`.
    """
    exported = segheads.load(path, device='cpu', threads=1, **settings)
    segmentor = model.segmentor
    for way, (_, _, padding) in WAYS.items():
        if padding and model.with_preprocessing:
            continue
        set_way(segmentor, way)
        content = describe(model)
        content.pop('format')
        exported = ExportedSegmentor(_described(exported, Description(**content)))
        classes = set()
        for image in images():
            expected = segheads.predict(segmentor, image)
            classes.update(np.unique(expected))
            found = segheads.predict(exported, image)
            assert (found != expected).mean() < 1e-3, (way, image.shape)
            # Without MMSegmentation's transforms.
            assert np.array_equal(exported.exported.predict(image), found), (way, image.shape)
        # Not in each image: at stride 32 the smallest has a single cell.
        assert len(classes) > 1, way


def _described(exported: ExportedSegmentor, description: Description) -> Any:
    model = exported.exported
    return type(model)(model.path, description, model._network, model.runtime)

"""SyntheticScenes: street scenes that are drawn when they are read."""

import re
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
from mmengine.fileio import BaseStorageBackend, register_backend
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from .scene_canvas import CLASSES
from .scene_composition import draw_scene

SPLITS = ('train', 'val', 'test')
SMALLEST_SIDE = 32

URI_PATTERN = re.compile(
    rf'scenes://(?P<height>\d+)x(?P<width>\d+)/seed(?P<seed>\d+)/(?P<split>{"|".join(SPLITS)})'
    r'/(?P<kind>images|annotations)/(?P<index>\d+)\.bmp'
)


@lru_cache(maxsize=4)  # the image and the label map of a scene are read one after the other
def _draw(seed: int, split: str, index: int, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    return draw_scene(Random(f'{seed}/{split}/{index}'), size)


class SceneBackend(BaseStorageBackend):
    """Answers ``scenes://`` addresses with BMP files that are drawn at that moment.

    As MMEngine's file functions ask it like any other storage, whatever reads an image or a label
    map by its path (loading transforms, the visualization hook, inference) works unchanged.
    """

    def get(self, filepath: str | Path) -> bytes:
        """Draw the image or the label map of a scene.

        Args:
            filepath (str): ``scenes://HEIGHTxWIDTH/seedSEED/SPLIT/images/INDEX.bmp``, or
                ``annotations`` in place of ``images``.

        Returns:
            bytes: BMP file.

        Raises:
            FileNotFoundError: If the address has another form.
        """
        address = URI_PATTERN.fullmatch(str(filepath))
        if address is None:
            raise FileNotFoundError(
                f'{filepath} is not the address of a synthetic scene, which reads like '
                "'scenes://192x256/seed0/val/images/000007.bmp' (or 'annotations')."
            )
        size = int(address['height']), int(address['width'])
        image, labels = _draw(int(address['seed']), address['split'], int(address['index']), size)
        if address['kind'] == 'images':
            pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        else:
            pixels = labels
        # BMP, because compressing would take longer than drawing.
        return cv2.imencode('.bmp', pixels)[1].tobytes()

    def get_text(self, filepath: str | Path, encoding: str = 'utf-8') -> str:
        """Scenes hold no text."""
        raise NotImplementedError(f'{filepath} is an image; synthetic scenes hold no text.')


register_backend('scenes', SceneBackend, prefixes='scenes', force=True)


@DATASETS.register_module()
class SyntheticScenes(BaseSegDataset):
    """Street scenes of 8 classes that need neither a download nor a disk.

    A scene is drawn when its address is read, and depends on nothing but ``seed``, ``split`` and
    its index: not on the worker, the process or the order of reading. Pipelines are those of any
    other data set, ``LoadImageFromFile`` and ``LoadAnnotations`` first. There is no void; classes
    left out of ``metainfo['classes']`` become 255, as in MMSegmentation.

    Args:
        split (str): 'train', 'val' or 'test'; different scenes each. Default: 'train'.
        length (int): Number of scenes. A longer set starts with the scenes of a shorter one.
            Default: 1000.
        size (tuple[int, int]): Height and width of the images in pixels. Default: (192, 256).
        seed (int): 0 or more; another seed gives other scenes. Default: 0.
        **kwargs: Arguments of :class:`mmseg.datasets.BaseSegDataset` other than those that say
            where files are.

    Raises:
        ValueError: If an argument is out of its range.

    Examples:
        >>> dataset = SyntheticScenes(split='val', length=10)
        >>> dataset[3]['img_path']
        'scenes://192x256/seed0/val/images/000003.bmp'
    """

    METAINFO = dict(
        classes=CLASSES,
        palette=[
            [135, 190, 230],
            [128, 120, 130],
            [196, 140, 110],
            [90, 150, 80],
            [60, 90, 200],
            [230, 80, 90],
            [240, 200, 80],
            [170, 70, 200],
        ],
    )

    def __init__(
        self,
        split: str = 'train',
        length: int = 1000,
        size: tuple[int, int] = (192, 256),
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'SyntheticScenes: split must be one of {SPLITS}, but is {split!r}.')
        if not isinstance(length, int) or length < 1:
            raise ValueError(
                f'SyntheticScenes: length, the number of scenes, must be a positive integer, '
                f'but is {length!r}.'
            )
        is_pair = isinstance(size, (tuple, list)) and len(size) == 2
        if not is_pair or not all(isinstance(s, int) and s >= SMALLEST_SIDE for s in size):
            raise ValueError(
                f'SyntheticScenes: size must be (height, width), two integers of at least '
                f'{SMALLEST_SIDE} pixels, but is {size!r}.'
            )
        if not isinstance(seed, int) or seed < 0:
            raise ValueError(
                f'SyntheticScenes: seed must be an integer of 0 or more, but is {seed!r}.'
            )
        files = sorted({'ann_file', 'data_root', 'data_prefix', 'img_suffix'} & set(kwargs))
        if files:
            raise ValueError(
                f'SyntheticScenes reads no files, so remove {", ".join(files)} from its config.'
            )
        self.split = split
        self.length = length
        self.size = tuple(size)
        self.seed = seed
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        """Addresses of all scenes."""
        height, width = self.size
        folder = f'scenes://{height}x{width}/seed{self.seed}/{self.split}'
        return [
            dict(
                img_path=f'{folder}/images/{index:06d}.bmp',
                seg_map_path=f'{folder}/annotations/{index:06d}.bmp',
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for index in range(self.length)
        ]

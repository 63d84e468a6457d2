"""CamVid: street scenes filmed from a car in Cambridge, with the 11 classes of SegNet."""

from typing import Any

from mmengine import fileio
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

IMAGE_SUFFIXES = ('.png', '.jpg')


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """`CamVid <https://doi.org/10.1016/j.patrec.2008.04.005>`_ in the split of SegNet.

    367 training, 101 validation and 233 test frames of 480x360. Expects ``images/{train,val,test}``
    and ``annotations/{train,val,test}``; label maps are PNGs that hold 0 to 10, and 255 for void.
    ``tools/dataset_converters/camvid.py`` makes that layout from the SegNet tutorial's.

    Args:
        img_suffix (str, optional): Suffix of the images; None for what the folder holds, '.png' or
            '.jpg'. Default: None.
        seg_map_suffix (str): Suffix of the label maps. Default: '.png'.
        **kwargs: Further arguments of :class:`mmseg.datasets.BaseSegDataset`.

    Raises:
        FileNotFoundError: If the image folder is missing or holds no images.
        ValueError: If it holds images of both suffixes and ``img_suffix`` does not say which.
    """

    METAINFO = dict(
        classes=(
            'sky',
            'building',
            'pole',
            'road',
            'sidewalk',
            'tree',
            'sign',
            'fence',
            'car',
            'pedestrian',
            'bicyclist',
        ),
        palette=[
            [128, 128, 128],
            [128, 0, 0],
            [192, 192, 128],
            [128, 64, 128],
            [60, 40, 222],
            [128, 128, 0],
            [192, 128, 128],
            [64, 64, 128],
            [64, 0, 128],
            [64, 64, 0],
            [0, 128, 192],
        ],
    )

    def __init__(
        self, img_suffix: str | None = None, seg_map_suffix: str = '.png', **kwargs: Any
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Pair the images with their label maps."""
        if self.img_suffix is None:
            self.img_suffix = self._find_img_suffix()
        return super().load_data_list()

    def _find_img_suffix(self) -> str:
        folder = self.data_prefix.get('img_path') or ''
        if not fileio.isdir(folder, backend_args=self.backend_args):
            raise FileNotFoundError(
                f'CamVidDataset: there is no image folder {folder!r}; set data_root and '
                'data_prefix in the config, or make it as docs/datasets.md says.'
            )
        names = list(
            fileio.list_dir_or_file(
                folder, list_dir=False, recursive=True, backend_args=self.backend_args
            )
        )
        suffixes = [s for s in IMAGE_SUFFIXES if any(name.endswith(s) for name in names)]
        if not suffixes:
            raise FileNotFoundError(
                f'CamVidDataset: the image folder {folder!r} holds no .png or .jpg files; set '
                'img_suffix in the config if its images end in something else.'
            )
        if len(suffixes) > 1:
            raise ValueError(
                f'CamVidDataset: the image folder {folder!r} holds both .png and .jpg files; set '
                "img_suffix in the config to '.png' or '.jpg'."
            )
        return suffixes[0]

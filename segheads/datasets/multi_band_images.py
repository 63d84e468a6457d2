"""Images of any number of bands: satellites, microscopes, cameras beyond the visible."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio
from mmseg.registry import TRANSFORMS

from segheads.data.image_files import require_tifffile


@TRANSFORMS.register_module()
class LoadMultiBandImageFromFile(LoadImageFromFile):
    """Load a TIFF of any number of bands, of 8 or 16 bits or in floating point.

    Bands stored one after another, pixel by pixel or as pages all come out as channels, in the
    order of the file. MMCV's ``LoadImageFromFile(imdecode_backend='tifffile')`` reads the second
    kind only. It needs tifffile: ``pip install "segheads[tiff]"``.

    Args:
        bands (Sequence[int], optional): The bands to take, counted from 0, in the order of the
            channels. Default: None, which takes all.
        to_float32 (bool): Whether the values become float32, which every transform takes, in the
            unit of the file. Default: True.
        backend_args (dict, optional): As for ``LoadImageFromFile``. Default: None.

    Raises:
        UserMistake: If tifffile is not installed.
    """

    def __init__(
        self,
        bands: Sequence[int] | None = None,
        to_float32: bool = True,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        require_tifffile()
        super().__init__(
            to_float32,
            color_type='unchanged',
            imdecode_backend='tifffile',
            backend_args=backend_args,
        )
        self.bands = None if bands is None else list(bands)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the file ``img_path``.

        Args:
            results (dict): What is known of the image.

        Returns:
            dict: The same, with ``img`` (H, W, C), ``img_shape`` and ``ori_shape``.

        Raises:
            ValueError: If the file holds more than one image, or lacks one of the bands.
        """
        content = fileio.get(results['img_path'], backend_args=self.backend_args)
        image = read_bands(content)
        if self.bands is not None:
            count = image.shape[2]
            missing = [band for band in self.bands if not -count <= band < count]
            if missing:
                raise ValueError(
                    f'it has {count} bands, and so no band {missing[0]} (of 0, 1, ...)'
                )
            image = np.ascontiguousarray(image[..., self.bands])
        if self.to_float32:
            image = image.astype(np.float32)
        results['img'] = image
        results['img_shape'] = image.shape[:2]
        results['ori_shape'] = image.shape[:2]
        return results


def read_bands(content: bytes) -> np.ndarray:
    """Decode a TIFF with its bands as channels.

    Args:
        content (bytes): The file.

    Returns:
        numpy.ndarray: (H, W, C), in the byte order of this machine.

    Raises:
        ValueError: If there is more than one way to see it as one image with bands.
    """
    import tifffile

    with tifffile.TiffFile(BytesIO(content)) as file:
        first = file.series[0]
        # Overviews are smaller; what is as large as the first page is a band, or another image.
        pages = [each for each in file.series if each.shape == first.shape]
        axes = first.axes if len(pages) == 1 else f'I{first.axes}'
        image = first.asarray() if len(pages) == 1 else np.stack([p.asarray() for p in pages])
    # Whatever is neither row nor column is a band: samples, pages, channels of a microscope.
    others = [axis for axis, name in enumerate(axes) if name not in 'YX']
    if not {'Y', 'X'} <= set(axes) or sum(image.shape[axis] > 1 for axis in others) > 1:
        raise ValueError(f'it has {image.shape} values ({axes}), more than rows, columns and bands')
    image = image.transpose(axes.index('Y'), axes.index('X'), *others)
    image = image.reshape(*image.shape[:2], -1)
    return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder('='))

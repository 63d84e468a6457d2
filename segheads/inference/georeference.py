"""GeoTIFF: where on Earth the pixels of an image lie, kept for what is predicted of it."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segheads.mistakes import UserMistake

TIFF_SUFFIXES = ('.tif', '.tiff')
# Model pixel scale, model tie points, model transformation: one of them places the pixels.
PLACING_TAGS = (33550, 33922, 34264)
WGS84 = 'EPSG:4326'
# Of images with more pixels neither the pixels nor the logits fit everywhere.
MOST_PIXELS_AT_ONCE = 2**26


@dataclass(frozen=True)
class Georeference:
    """Where the pixels of an image lie.

    Attributes:
        crs (Any): The coordinate reference system of rasterio; None if the file does not say it.
        transform (Any): The affine transformation from column and row to coordinates in it.
    """

    crs: Any
    transform: Any

    def locator(self) -> Callable[[np.ndarray], np.ndarray]:
        """Returns what makes longitudes and latitudes of pixels, as GeoJSON has them.

        Returns:
            Callable: Takes x and y (n, 2) in pixels. Without a reference system it returns the
            coordinates of the file.
        """
        from rasterio.warp import transform

        place = self.transform

        def locate(pixels: np.ndarray) -> np.ndarray:
            x = place.a * pixels[:, 0] + place.b * pixels[:, 1] + place.c
            y = place.d * pixels[:, 0] + place.e * pixels[:, 1] + place.f
            if self.crs is not None:
                x, y = transform(self.crs, WGS84, x, y)
            return np.stack([x, y], axis=1)

        return locate


@lru_cache(maxsize=4096)
def read_georeference(file: Path) -> Georeference | None:
    """Reads where the pixels of a file lie.

    Args:
        file (Path): An image.

    Returns:
        Georeference | None: None if the file does not say it, or if rasterio is not installed.
    """
    if not is_tiff(file) or not has_rasterio():
        return None
    with opened(file) as raster:
        if raster is None or (raster.crs is None and raster.transform.is_identity):
            return None
        return Georeference(raster.crs, raster.transform)


@lru_cache(maxsize=4096)
def is_large(file: Path, window: int | None) -> bool:
    """Tells whether an image is predicted window by window.

    Args:
        file (Path): The image.
        window (int | None): What ``--window`` says: images larger than it are; None for those of
            more than 67 million pixels.

    Returns:
        bool: True for such TIFF files, if rasterio is installed.
    """
    if not is_tiff(file) or not has_rasterio():
        return False
    with opened(file) as raster:
        if raster is None:
            return False
        if window is not None:
            return max(raster.height, raster.width) > window
        return raster.height * raster.width > MOST_PIXELS_AT_ONCE


def loses_georeference(file: Path) -> bool:
    """Tells a GeoTIFF where rasterio, which reads it as such, is not installed."""
    if not is_tiff(file) or has_rasterio():
        return False
    try:
        with Image.open(file) as image:
            return any(tag in image.tag_v2 for tag in PLACING_TAGS)
    except Exception:  # reading it as an image will tell
        return False


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """Opens a raster for reading; None for a file that is none."""
    import rasterio
    from rasterio.errors import RasterioError

    try:
        raster = rasterio.open(file)
    except RasterioError:
        yield None
        return
    with raster:
        yield raster


@contextmanager
def written(
    path: Path,
    size: tuple[int, int],
    dtype: str,
    georeference: Georeference | None,
    colours: Sequence[Sequence[int]] | None = None,
) -> Iterator[Any]:
    """Opens a GeoTIFF of one band for writing, which appears when it is complete.

    Args:
        path (Path): The file.
        size (tuple[int, int]): Height and width.
        dtype (str): Type of the values, 'uint8' or 'uint16'.
        georeference (Georeference | None): Where the pixels lie.
        colours (Sequence | None): Of the values from 0 on, for 'uint8'. Default: None.

    Yields:
        Any: The data set of rasterio, whose ``write(values, 1)`` takes all or a window.

    Raises:
        UserMistake: If it cannot be written.
    """
    import rasterio
    from rasterio.errors import RasterioError

    unfinished = path.with_name(f'.{path.stem}.{os.getpid()}.unfinished.tif')
    place = georeference or Georeference(None, None)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(
            unfinished,
            'w',
            driver='GTiff',
            height=size[0],
            width=size[1],
            count=1,
            dtype=dtype,
            crs=place.crs,
            transform=place.transform,
            compress='deflate',
            tiled=True,
            bigtiff='if_safer',
        ) as raster:
            if colours is not None and dtype == 'uint8':
                raster.write_colormap(1, {i: (*map(int, c), 255) for i, c in enumerate(colours)})
            yield raster
        os.replace(unfinished, path)
    except (RasterioError, OSError) as error:
        raise UserMistake(f'{path} cannot be written: {error}') from error
    finally:
        unfinished.unlink(missing_ok=True)


def is_tiff(file: Path) -> bool:
    """Tells TIFF files by their suffix."""
    return file.suffix.lower() in TIFF_SUFFIXES


@lru_cache(maxsize=1)
def has_rasterio() -> bool:
    """Tells whether rasterio is installed."""
    return find_spec('rasterio') is not None

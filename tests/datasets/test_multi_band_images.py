"""TIFF of any number of bands, however they are stored."""

import io

import numpy as np
import pytest
from mmseg.registry import TRANSFORMS
from PIL import Image
from tiny_run import sentence

from segheads.data.image_files import ImagePipeline
from segheads.datasets.multi_band_images import read_bands

tifffile = pytest.importorskip('tifffile')

BANDS = np.random.default_rng(0).integers(0, 60000, (40, 48, 5), dtype=np.uint16)
PLANES = BANDS.transpose(2, 0, 1)


def encode(image, **settings):
    stream = io.BytesIO()
    tifffile.imwrite(stream, image, **settings)
    return stream.getvalue()


def encode_pages(images, **settings):
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for image in images:
            writer.write(image, contiguous=False, **settings)
    return stream.getvalue()


def encode_by_pillow(images):
    stream = io.BytesIO()
    first, *others = map(Image.fromarray, images)
    first.save(stream, 'TIFF', save_all=True, append_images=others)
    return stream.getvalue()


PIXELWISE = dict(photometric='minisblack', planarconfig='contig')
FILES = {
    'pixel by pixel': encode(BANDS, **PIXELWISE),
    'plane by plane': encode(PLANES, photometric='minisblack', planarconfig='separate'),
    'pages': encode(PLANES),
    'single pages': encode_pages(PLANES),
    'pages of Pillow': encode_by_pillow(PLANES),
    'big-endian': encode(BANDS, byteorder='>', **PIXELWISE),
    'channels of a microscope': encode(PLANES, ome=True, metadata={'axes': 'CYX'}),
    'tiles': encode(BANDS, tile=(16, 16), **PIXELWISE),
    'compressed': encode(BANDS, compression='zlib', **PIXELWISE),
}


@pytest.mark.parametrize('kind', FILES)
def test_bands_come_out_as_channels(kind):
    image = read_bands(FILES[kind])
    assert image.dtype == np.uint16 and image.dtype.isnative and image.flags.c_contiguous
    assert np.array_equal(image, BANDS)


def test_fewer_and_other_values():
    assert np.array_equal(read_bands(encode(BANDS[..., 0])), BANDS[..., :1])
    values = BANDS[..., :3].astype(np.float32) / 7
    assert np.array_equal(read_bands(encode(values, **PIXELWISE)), values)


def test_overviews_are_no_bands():
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(BANDS, subifds=1, **PIXELWISE)
        writer.write(BANDS[::2, ::2], subfiletype=1, **PIXELWISE)
        writer.write(BANDS[::4, ::4], subfiletype=1, **PIXELWISE)
    assert np.array_equal(read_bands(stream.getvalue()), BANDS)


def test_several_images_are_not_one():
    for content in (encode(np.stack([PLANES, PLANES])), encode_pages([BANDS, BANDS], **PIXELWISE)):
        with pytest.raises(ValueError, match='more than rows, columns and bands'):
            read_bands(content)


def load(path, **settings):
    return TRANSFORMS.build(dict(type='LoadMultiBandImageFromFile', **settings))(
        dict(img_path=str(path))
    )


def test_the_transform(tmp_path):
    path = tmp_path / 'a.tif'
    path.write_bytes(FILES['plane by plane'])
    results = load(path)
    assert results['img'].dtype == np.float32 and np.array_equal(results['img'], BANDS)
    assert results['img_shape'] == results['ori_shape'] == (40, 48)
    chosen = load(path, bands=(3, 0, -1), to_float32=False)['img']
    assert chosen.dtype == np.uint16 and np.array_equal(chosen, BANDS[..., [3, 0, 4]])


def test_what_it_does_not_read(tmp_path):
    (tmp_path / 'a.tif').write_bytes(FILES['pages'])
    (tmp_path / 'b.tif').write_bytes(b'no image')

    def read(name, **settings):
        steps = [dict(type='LoadMultiBandImageFromFile', **settings)]
        return ImagePipeline(steps).read(str(tmp_path / name))

    assert 'a.tif cannot be read as an image: it has 5 bands, and so no band 5' in sentence(
        read, 'a.tif', bands=[0, 5]
    )
    assert 'b.tif cannot be read as an image: not a TIFF' in sentence(read, 'b.tif')
    assert 'c.tif does not exist' in sentence(read, 'c.tif')

"""GeoTIFF: results lie where their images do, and the size of a raster costs no memory."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import command, write_workspace

import segheads
from segheads.configs.loading import load_config
from segheads.inference import georeference, raster_windows, rasters

rasterio = pytest.importorskip('rasterio')
SIZE = (150, 210)
run_predict = command('predict')


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A model that slides windows of 64x64 pixels, and a GeoTIFF in metres of UTM zone 32."""
    monkeypatch.chdir(write_workspace(tmp_path))
    georeference.read_georeference.cache_clear()
    georeference.is_large.cache_clear()
    cfg = load_config('tiny.py')
    del cfg.model.data_preprocessor['size']
    cfg.model.test_cfg = dict(mode='slide', crop_size=(64, 64), stride=(48, 40))
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match='random'):
        model = segheads.load(cfg, device='cpu')
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    meta = dict(
        cfg=cfg.pretty_text,
        dataset_meta=dict(classes=['a', 'b', 'c'], palette=[[9, 8, 7], [255, 0, 0], [0, 0, 255]]),
    )
    torch.save(dict(state_dict=model.state_dict(), meta=meta), 'slide.pth')
    write_raster('field.tif', np.random.default_rng(0))
    return tmp_path


def write_raster(path, generator):
    small = generator.integers(0, 256, (3, SIZE[0] // 10, SIZE[1] // 10), dtype=np.uint8)
    pixels = np.kron(small, np.ones((1, 10, 10), np.uint8))
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        height=SIZE[0],
        width=SIZE[1],
        count=3,
        dtype='uint8',
        crs='EPSG:32632',
        transform=rasterio.transform.from_origin(500_000, 5_400_000, 0.5, 0.5),
    ) as raster:
        raster.write(pixels)


def run(*arguments):
    run_predict(['slide.pth', *arguments, '--device', 'cpu'])


def read(path):
    with rasterio.open(path) as raster:
        return raster.read(1), (raster.crs, raster.transform)


def test_results_keep_the_georeference(workspace):
    run('field.tif', '--scores', '--polygons')
    class_map, written = read('predictions/class_maps/field.tif')
    _, source = read('field.tif')
    assert written == source
    with rasterio.open('predictions/class_maps/field.tif') as raster:
        assert raster.colormap(1)[1] == (255, 0, 0, 255)
    model = segheads.load('slide.pth', device='cpu')
    expected = segheads.predict(model, 'field.tif', scores=True)
    assert np.array_equal(class_map, expected.class_map)
    scores, written = read('predictions/scores/field.tif')
    assert written == source and scores.dtype == np.uint16
    np.testing.assert_allclose(scores / 65535, expected.scores, atol=1e-5)

    found = json.loads(Path('predictions/polygons/field.geojson').read_text())
    corners = np.concatenate(
        [ring for f in found['features'] for ring in f['geometry']['coordinates']]
    )
    # The raster lies on the central meridian of its zone, 9 degrees east, and 105 m wide.
    assert corners[:, 0].min() == pytest.approx(9, abs=1e-6)
    assert corners[:, 0].max() == pytest.approx(9.00144, abs=1e-4)
    assert corners[:, 1].max() == pytest.approx(48.752, abs=0.01)
    assert sum(f['properties']['area'] for f in found['features']) == SIZE[0] * SIZE[1]


def test_window_by_window_it_is_the_same(workspace, monkeypatch, capsys):
    run('field.tif', '--out', 'whole', '--scores', '--polygons')
    monkeypatch.setattr(raster_windows, 'BLOCK_SIDE', 50)
    monkeypatch.setattr(georeference, 'MOST_PIXELS_AT_ONCE', 1000)
    georeference.is_large.cache_clear()
    blocks = []
    predict_block = rasters._predict_block
    monkeypatch.setattr(rasters, '_predict_block', lambda *a: blocks.append(a) or predict_block(*a))
    run('field.tif', '--out', 'blocks', '--scores', '--polygons')
    assert len(blocks) == 3 * 5
    for kind in ('class_maps', 'scores'):
        whole, first = read(f'whole/{kind}/field.tif')
        found, second = read(f'blocks/{kind}/field.tif')
        assert first == second
        if kind == 'class_maps':
            assert len(np.unique(whole)) > 1 and np.array_equal(found, whole)
        else:
            assert np.abs(found.astype(int) - whole).max() <= 1
    areas = [
        sorted(
            (each['properties']['class'], each['properties']['area'])
            for each in json.loads(Path(out, 'polygons/field.geojson').read_text())['features']
        )
        for out in ('whole', 'blocks')
    ]
    assert areas[0] == areas[1]
    with Image.open('blocks/overlays/field.jpg') as overlay:
        assert overlay.width == SIZE[1]
    assert not list(Path('blocks').rglob('.*'))
    assert '1 of 1 files predicted' in capsys.readouterr().out


def test_it_goes_on_after_an_interruption(workspace, monkeypatch):
    monkeypatch.setattr(raster_windows, 'BLOCK_SIDE', 50)
    predict_block, calls = rasters._predict_block, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return predict_block(*arguments)

    monkeypatch.setattr(rasters, '_predict_block', interrupted)
    with pytest.raises(KeyboardInterrupt):
        run('field.tif', '--window', '64')
    assert not list(Path('predictions/class_maps').glob('*.tif'))
    run('field.tif', '--window', '64', '--resume')
    count = len(calls)
    assert Path('predictions/class_maps/field.tif').is_file()
    run('field.tif', '--window', '64', '--resume')
    assert len(calls) == count
    run('field.tif', '--window', '64', '--out', 'other')
    assert len(calls) - count == count - 1
    assert np.array_equal(
        read('predictions/class_maps/field.tif')[0], read('other/class_maps/field.tif')[0]
    )


def test_a_raster_that_changed_starts_again(workspace, monkeypatch):
    monkeypatch.setattr(raster_windows, 'BLOCK_SIDE', 50)
    parts = Path('predictions/class_maps/.field.parts')
    parts.mkdir(parents=True)
    (parts / 'settings.json').write_text('{}')
    (parts / '000000.npz').write_bytes(b'of another raster')
    run('field.tif', '--window', '64', '--resume')
    assert not parts.exists() and Path('predictions/class_maps/field.tif').is_file()


def test_what_cannot_be_done_by_windows(workspace, capsys):
    def told(*arguments):
        with pytest.raises(SystemExit):
            run('field.tif', '--window', '64', '--overwrite', *arguments)
        return capsys.readouterr().err

    assert 'neither --probabilities nor --tta' in told('--probabilities')
    content = torch.load('slide.pth', weights_only=True)
    resize = "{'type': 'Resize', 'scale': (96, 96)}, dict(type='PackSegInputs')"
    content['meta']['cfg'] = content['meta']['cfg'].replace("dict(type='PackSegInputs')", resize)
    torch.save(content, 'slide.pth')
    assert 'every window would be resized for itself' in told()


def test_without_rasterio_it_is_told(workspace, monkeypatch, capsys):
    georeference.has_rasterio.cache_clear()
    monkeypatch.setattr(georeference, 'find_spec', lambda name: None)
    try:
        run('field.tif')
    finally:
        georeference.has_rasterio.cache_clear()
    assert 'segheads[geo]' in capsys.readouterr().out
    assert Path('predictions/class_maps/field.png').is_file()

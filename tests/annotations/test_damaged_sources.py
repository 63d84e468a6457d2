"""Damaged and odd files of every format: a sentence, or a data set that is whole."""

import base64
import json
import random
import shutil
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from annotated_folders import (
    HEIGHT,
    WIDTH,
    import_here,
    photograph,
    png_in_base64,
    save,
    write_json,
)
from PIL import Image

from segheads.mistakes import UserMistake

pytest.importorskip('pycocotools')

SQUARE = [[2, 1], [6, 1], [6, 5], [2, 5]]
ODD = [
    None, True, -1, 0, 1e308, float('nan'), float('inf'), 10**30, '', 'x' * 3000, '\0', '../..',
    '/', '\ud800', [], [[]], {}, {'a': 1}, [[1]], [1, 2, 3], [[1e12, 1e12]] * 3, 'car', '255',
]  # fmt: skip


def write_coco(folder):
    photograph(folder / 'a.png')
    counts = dict(size=[HEIGHT, WIDTH], counts=[3, 40, 37])
    text = dict(size=[HEIGHT, WIDTH], counts='3X1U1')
    segmentations = [[[2, 1, 6, 1, 6, 5]], counts, text]
    write_json(
        dict(
            images=[dict(id=1, file_name='a.png', height=HEIGHT, width=WIDTH)],
            annotations=[
                dict(id=index, image_id=1, category_id=1, segmentation=segmentation, iscrowd=0)
                for index, segmentation in enumerate(segmentations)
            ],
            categories=[dict(id=1, name='car')],
        ),
        folder / 'coco.json',
    )


def write_panoptic(folder):
    photograph(folder / 'a.jpg')
    save(np.zeros((HEIGHT, WIDTH, 3)), folder / 'panoptic' / 'a.png')
    segments = [dict(id=0, category_id=1), dict(id=5, category_id=1)]
    write_json(
        dict(
            images=[dict(id=1, file_name='a.jpg')],
            annotations=[dict(image_id=1, file_name='a.png', segments_info=segments)],
            categories=[dict(id=1, name='car')],
        ),
        folder / 'panoptic.json',
    )


def write_labelme(folder):
    for name in 'ab':
        photograph(folder / f'{name}.jpg')
        kinds = dict(
            polygon=SQUARE, circle=SQUARE[:2], line=SQUARE, mask=SQUARE[:2], point=[[1, 1]]
        )
        shapes = [dict(label='car', points=kinds[kind], shape_type=kind) for kind in kinds]
        shapes[3]['mask'] = png_in_base64(np.ones((2, 5), bool))
        size = dict(imageHeight=HEIGHT, imageWidth=WIDTH, imageData=None)
        write_json(dict(shapes=shapes, imagePath=f'{name}.jpg', **size), folder / f'{name}.json')


def write_cvat(folder):
    photograph(folder / 'images' / 'a.png')
    (folder / 'annotations.xml').write_text(
        '<annotations><meta><task><labels><label><name>car</name><color>#ff0000</color></label>'
        '</labels></task></meta><image id="0" name="a.png" width="10" height="8">'
        '<polygon label="car" points="2,1;6,1;6,5" z_order="0"/>'
        '<mask label="car" rle="1,2,1,2" left="3" top="2" width="3" height="2" z_order="1"/>'
        '<ellipse label="car" cx="5" cy="4" rx="2" ry="2" rotation="10"/></image></annotations>'
    )


def write_supervisely(folder):
    write_json(dict(classes=[dict(title='car', color='#ff0000')]), folder / 'meta.json')
    photograph(folder / 'ds' / 'img' / 'a.jpg')
    points = dict(exterior=SQUARE, interior=[SQUARE[:3]])
    figure = dict(classTitle='car', geometryType='polygon', points=points)
    png = base64.b64decode(png_in_base64(np.ones((2, 5), bool)))
    drawn = dict(data=base64.b64encode(zlib.compress(png)).decode(), origin=[1, 1])
    bitmap = dict(classTitle='car', geometryType='bitmap', bitmap=drawn)
    size = dict(height=HEIGHT, width=WIDTH)
    write_json(dict(size=size, objects=[figure, bitmap]), folder / 'ds' / 'ann' / 'a.jpg.json')


def write_masks(folder, masks='masks', images='images', **others):
    for index, name in enumerate('abc'):
        photograph(folder / images / f'{name}.jpg')
        labels = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) // 9 % (index + 2)
        save(others.get('colors', np.arange(256))[labels], folder / masks / f'{name}.png')
    for name, text in others.get('texts', {}).items():
        (folder / name).write_text(text)


def write_colors(folder):
    colors = np.array([[0, 0, 0], [250, 0, 0], [0, 250, 0], [0, 0, 250]])
    text = '# label:color\nsky:0,0,0::\nroad:250,0,0::\ntree:0,250,0::\ncar:0,0,250::\n'
    write_masks(folder, colors=colors, texts={'labelmap.txt': text})


def write_voc(folder):
    write_masks(folder, 'SegmentationClass', 'JPEGImages', texts={'class_names.txt': 'a\nb\nc\nd'})


def write_roboflow(folder):
    write_masks(
        folder, 'x', '.', texts={'_classes.csv': 'Pixel Value, Class\n0, a\n1, b\n2, c\n3, d\n'}
    )
    for mask in (folder / 'x').iterdir():
        mask.rename(folder / f'{mask.stem}_mask.png')


def write_binary(folder):
    for label in ('car', 'tree'):
        write_masks(folder, f'masks/{label}', colors=np.arange(256) % 2 * 255)


WRITERS = [
    write_coco, write_panoptic, write_labelme, write_cvat, write_supervisely, write_masks,
    write_colors, write_voc, write_roboflow, write_binary,
]  # fmt: skip


def damage_bytes(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    where = dice.randrange(len(content))
    kind = dice.randrange(4)
    if kind == 0:
        content = content[:where]
    elif kind == 1:
        content[where : where + 8] = dice.randbytes(8)
    elif kind == 2:
        content[where:where] = content[: dice.randrange(1, 40)]
    else:
        del content[where : where + dice.randrange(1, 40)]
    path.write_bytes(content)


def damage_json(path: Path, dice: random.Random) -> None:
    """Puts something odd in the place of any value, or takes a key away."""
    content = parent = json.loads(path.read_text())
    places = []

    def collect(value):
        for key in value if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            if isinstance(value[key], (dict, list)):
                collect(value[key])

    collect(parent)
    parent, key = dice.choice(places)
    if isinstance(parent, dict) and dice.random() < 0.2:
        del parent[key]
    else:
        parent[key] = dice.choice(ODD)
    path.write_text(json.dumps(content))


def damage_text(path: Path, dice: random.Random) -> None:
    """Puts something odd in the place of any number or name."""
    text = path.read_text()
    start = dice.randrange(len(text))
    odd = dice.choice(
        ['', '-1', '1e999', 'nan', ';', ',', '"', '<', '&', '\0', '9' * 30, '\n', '::']
    )
    path.write_text(text[:start] + odd + text[start + dice.randrange(4) :])


def damage_files(path: Path, dice: random.Random) -> None:
    """Takes a file away, or puts something else in its place."""
    path.unlink()
    kind = dice.randrange(5)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        path.write_bytes(b'')
    elif kind == 2:
        path.symlink_to(path.parent if dice.random() < 0.5 else path)
    elif kind == 3:
        path.write_bytes(dice.randbytes(50))


def damage(folder: Path, dice: random.Random) -> None:
    whole = [path for path in folder.rglob('*') if path.is_file() and path.stat().st_size]
    if not whole:
        return
    path = dice.choice(sorted(whole))
    ways = [damage_bytes, damage_files]
    ways += [damage_json] * 6 if path.suffix == '.json' else []
    ways += [damage_text] * 4 if path.suffix in ('.xml', '.txt', '.csv') else []
    try:
        dice.choice(ways)(path, dice)
    except (ValueError, IndexError):  # no JSON, or no text, any more
        damage_bytes(path, dice)


def require_whole(folder: Path) -> None:
    """Checks that a data set has what it says, and nothing else."""
    content = json.loads((folder / 'dataset.json').read_text('utf-8'))
    allowed = {each['id'] for each in content['classes']} | {content['ignore_index']}
    named = {'dataset.json', 'contact_sheet.jpg'}
    assert content['files']
    for entry in content['files']:
        named |= {entry['image'], entry['mask']}
        mask = np.asarray(Image.open(folder / entry['mask']))
        assert mask.shape == cv2.imread(str(folder / entry['image'])).shape[:2]
        assert set(np.unique(mask).tolist()) <= allowed
    files = (path for path in folder.rglob('*') if not path.is_dir())
    assert {path.relative_to(folder).as_posix() for path in files} == named


def import_damaged(folder: Path, seed: int) -> str:
    """Damages a source by chance and imports it; returns what came of it."""
    dice = random.Random(seed)
    source = folder / 'source'
    WRITERS[seed % len(WRITERS)](source)
    for _ in range(dice.choice([1, 1, 1, 2, 4])):
        damage(source, dice)
    try:
        data = import_here(source, background=dice.choice([None, None, 'ground']))
    except UserMistake as mistake:
        assert sorted(path.name for path in folder.iterdir()) == ['source'], 'something is left'
        assert '\n' not in str(mistake) and len(str(mistake)) < 1500
        return 'mistake'
    require_whole(data.folder)
    assert sorted(path.name for path in folder.iterdir()) == ['data_of_source', 'source']
    return 'listed' if data.report.failures else 'whole'


@pytest.mark.parametrize('write', WRITERS)
def test_without_damage_each_is_imported(tmp_path, write):
    write(tmp_path / 'source')
    assert not import_here(tmp_path / 'source').failures()


def test_damage_is_told_and_nothing_is_half_written(tmp_path):
    outcomes = set()
    for seed in range(80):
        folder = tmp_path / str(seed)
        outcomes.add(import_damaged(folder, seed))
        shutil.rmtree(folder)
    assert outcomes == {'mistake', 'listed', 'whole'}

"""CVAT for images 1.1, as https://docs.cvat.ai/docs/other/xml_format describes it."""

import numpy as np
import pytest
from annotated_folders import HEIGHT, WIDTH, X, boxed, import_here, photograph

from segheads.mistakes import UserMistake

LABELS = '<label><name>car</name><color>#fa3253</color></label><label><name>road</name></label>'


def write_cvat(folder, *shapes, name='images/a.png', attributes=''):
    photograph(folder / name)
    (folder / 'annotations.xml').write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        f'<meta><task><labels>{LABELS}</labels></task></meta>'
        f'<image id="0" name="a.png" width="{WIDTH}" height="{HEIGHT}" {attributes}>'
        f'{"".join(shapes)}</image></annotations>'
    )
    return folder


def test_polygons_and_boxes(tmp_path):
    polygon = '<polygon label="car" points="2.0,1.0;6.0,1.0;6.0,5.0;2.0,5.0" z_order="0"/>'
    data = import_here(write_cvat(tmp_path / 'source', polygon))
    assert data.said[0].endswith('CVAT for images XML, 1 images, 2 classes')
    assert data.names == ['car', 'road']
    assert data.description['classes'][0]['color'] == [0xFA, 0x32, 0x53]
    assert data.mask() == boxed(0, 1, 2, 5, 6)
    box = '<box label="road" xtl="2.0" ytl="1.0" xbr="6.0" ybr="5.0"/>'
    assert import_here(write_cvat(tmp_path / 'box', box)).mask() == boxed(1, 1, 2, 5, 6)


def test_boxes_may_be_turned(tmp_path):
    box = '<box label="car" xtl="2" ytl="3" xbr="8" ybr="5" rotation="90.0"/>'
    assert import_here(write_cvat(tmp_path / 'source', box)).mask() == boxed(0, 1, 4, 7, 6)


def test_ellipses(tmp_path):
    ellipse = '<ellipse label="car" cx="5" cy="4" rx="4" ry="2" />'
    rows, columns = np.indices((HEIGHT, WIDTH)) + 0.5
    inside = ((rows - 4) / 2) ** 2 + ((columns - 5) / 4) ** 2 < 1
    data = import_here(write_cvat(tmp_path / 'source', ellipse))
    assert data.mask() == np.where(inside, 0, X).tolist()


def test_masks_are_runs_along_the_rows_of_a_box(tmp_path):
    mask = '<mask label="car" rle="1, 2, 1, 2" left="3" top="2" width="3" height="2"/>'
    expected = np.full((HEIGHT, WIDTH), X)
    expected[2, 4:6], expected[3, 4:6] = 0, 0
    assert import_here(write_cvat(tmp_path / 'source', mask)).mask() == expected.tolist()


def test_lines_and_points(tmp_path):
    line = '<polyline label="car" points="0,4;9,4"/><points label="road" points="1,1"/>'
    data = import_here(write_cvat(tmp_path / 'source', line), line_width=1)
    expected = np.array(boxed(0, 4, 0, 5, 10))
    expected[1, 1] = 1
    assert data.mask() == expected.tolist()


def test_the_order_is_that_of_the_layers(tmp_path):
    above = '<box label="car" xtl="2" ytl="1" xbr="6" ybr="5" z_order="1"/>'
    below = '<box label="road" xtl="0" ytl="0" xbr="10" ybr="8" z_order="0"/>'
    data = import_here(write_cvat(tmp_path / 'source', above, below))
    assert data.mask() == boxed(0, 1, 2, 5, 6, rest=1)


def test_a_subset_is_a_split(tmp_path):
    folder = tmp_path / 'source'
    box = '<box label="car" xtl="2" ytl="1" xbr="6" ybr="5"/>'
    write_cvat(folder, box, attributes='subset="Train"')
    text = (folder / 'annotations.xml').read_text()
    image = text[text.index('<image') : text.index('</annotations>')]
    other = image.replace('a.png', 'b.png').replace('Train', 'Validation')
    (folder / 'annotations.xml').write_text(text.replace(image, image + other))
    photograph(folder / 'images' / 'b.png')
    assert import_here(folder).splits() == {'a': 'train', 'b': 'val'}


def test_tags_and_skeletons_are_no_classes(tmp_path):
    box = '<box label="car" xtl="2" ytl="1" xbr="6" ybr="5"/>'
    joint = '<points label="1" outside="0" points="54.47,94.81"></points>'
    others = f'<tag label="good"/><skeleton label="body">{joint}</skeleton>'
    folder = write_cvat(tmp_path / 'source', box, others)
    more = (
        '<label><name>good</name><type>tag</type></label>'
        '<label><name>body</name><type>skeleton</type></label>'
        '<label><name>1</name><type>points</type><parent>body</parent></label></labels>'
    )
    text = (folder / 'annotations.xml').read_text().replace('</labels>', more)
    (folder / 'annotations.xml').write_text(text)
    data = import_here(folder)
    assert data.names == ['car', 'road'] and data.mask() == boxed(0, 1, 2, 5, 6)
    assert '2 tags and skeletons are left out: they have no pixels' in data.report.notes


def test_what_has_no_pixels(tmp_path):
    folder = write_cvat(tmp_path / 'source', '<cuboid label="car" xtl1="1"/>')
    with pytest.raises(UserMistake, match="a shape is a 'cuboid', which has no pixels known here"):
        import_here(folder)
    text = (folder / 'annotations.xml').read_text()
    (folder / 'annotations.xml').write_text(text.replace('<image', '<track/><image'))
    with pytest.raises(UserMistake, match='whose tracks are interpolated; export the task as'):
        import_here(folder)
    (folder / 'annotations.xml').write_text(text[:-20])
    with pytest.raises(UserMistake, match='annotations.xml is damaged: no XML'):
        import_here(folder)


def test_a_small_file_that_unfolds_into_gigabytes_is_refused(tmp_path):
    folder = write_cvat(tmp_path / 'source')
    entities = '<!ENTITY a "aaaaaaaaaa">' + ''.join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">'
        for before, name in zip('abcdefghi', 'bcdefghij', strict=True)
    )
    text = (folder / 'annotations.xml').read_text().replace('name="a.png"', 'name="&j;"')
    text = text.replace('<annotations>', f'<!DOCTYPE annotations [{entities}]><annotations>')
    (folder / 'annotations.xml').write_text(text)
    with pytest.raises(UserMistake, match='no XML'):
        import_here(folder)

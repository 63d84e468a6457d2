"""`segheads import`: what it prints and how it ends."""

import numpy as np
import pytest
from annotated_folders import HEIGHT, WIDTH, photograph, save, write_json
from tiny_run import command, sentence

import_annotations = command('import')


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COLUMNS', '120')
    for name in 'abcd':
        photograph(tmp_path / 'export' / 'images' / f'{name}.jpg')
        save(
            np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 2,
            tmp_path / f'export/masks/{name}.png',
        )
    return tmp_path / 'export'


def test_it_ends_with_the_table_and_the_contact_sheet(source, capsys):
    import_annotations(['export', '--out', 'data', '--val', '0.4', '--group', r'[a-d]\.jpg'])
    printed = capsys.readouterr().out
    assert printed.startswith('export: grey masks, 4 images, 2 classes\n')
    assert '│ 0     │ background │' in printed and '│ 50.00% │' in printed
    assert '\ntrain\n' in printed and '\nval\n' in printed
    assert '4 images in data; look at data/contact_sheet.jpg' in printed
    assert (source.parent / 'data' / 'contact_sheet.jpg').is_file()


def test_what_cannot_be_converted_is_listed_with_exit_code_1(source, capsys):
    (source / 'masks' / 'b.png').write_bytes(b'no image')
    with pytest.raises(SystemExit) as end:
        import_annotations(['export', '--out', 'data'])
    assert end.value.code == 1
    printed = capsys.readouterr().out
    assert 'error: masks/b.png: its mask b.png cannot be read' in printed
    assert printed.endswith('1 could not be converted\n')
    assert (source.parent / 'data' / 'dataset.json').is_file()


def test_a_mistake_is_one_sentence(source):
    assert 'does not exist' in sentence(import_annotations, ['nowhere', '--out', 'data'])
    assert 'a folder with files' in sentence(import_annotations, ['export', '--out', '.'])
    merging = ['export', '--out', 'data', '--merge', 'cat,dog=animal']
    assert "the source has no class 'cat'" in sentence(import_annotations, merging)
    assert not (source.parent / 'data').exists()


def test_classes_from_a_file_and_lines_of_a_width(source, capsys):
    square = dict(label='wire', points=[[0, 4], [9, 4]], shape_type='line')
    photograph(source.parent / 'lines' / 'a.jpg')
    content = dict(shapes=[square], imagePath='a.jpg', imageHeight=HEIGHT, imageWidth=WIDTH)
    write_json(content, source.parent / 'lines' / 'a.json')
    (source.parent / 'map.yaml').write_text('wire: cable\n')
    options = ['--line-width', '2', '--classes', 'map.yaml', '--background', 'sky']
    import_annotations(['lines', '--out', 'data', *options, '--smaller-on-top'])
    printed = capsys.readouterr().out
    assert '│ 1     │ cable │     20 │ 25.00% │' in printed

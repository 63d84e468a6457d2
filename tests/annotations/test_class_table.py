"""Classes of a source, renamed, merged, dropped, numbered."""

import pytest

from segheads.annotations.class_table import make_table, read_choice
from segheads.annotations.records import Source, SourceClass
from segheads.mistakes import UserMistake

SOURCE = Source('any', [SourceClass('car', (1, 2, 3)), SourceClass('truck'), SourceClass('road')])


def names(table):
    return [each.name for each in table.classes]


def chosen(tmp_path, text):
    path = tmp_path / 'classes.yaml'
    path.write_text(text)
    return read_choice(path)


def test_classes_keep_their_order_and_get_colours():
    table = make_table(SOURCE)
    assert names(table) == ['car', 'truck', 'road']
    assert table.classes[0].color == (1, 2, 3)
    assert len({each.color for each in table.classes}) == 3
    assert (table.background, table.ignored) == (255, 255)


def test_a_background_is_class_0():
    table = make_table(SOURCE, background='ground')
    assert names(table) == ['ground', 'car', 'truck', 'road']
    assert (table.background, table.ids['car']) == (0, 1)
    assert make_table(SOURCE, background='road').background == 2, 'it may be one there is'


def test_a_file_renames_merges_and_drops(tmp_path):
    choice = chosen(tmp_path, 'car: vehicle\ntruck: vehicle\nroad:\n')
    assert choice == {'car': 'vehicle', 'truck': 'vehicle', 'road': None}
    table = make_table(SOURCE, choice)
    assert names(table) == ['vehicle']
    assert table.ids['car'] == table.ids['truck'] == 0 and table.ids['road'] == 255
    assert table.classes[0].color == (1, 2, 3)


def test_a_list_keeps_and_orders(tmp_path):
    table = make_table(SOURCE, chosen(tmp_path, '[road, car]'))
    assert names(table) == ['road', 'car']
    assert table.ids['truck'] == 255
    table = make_table(SOURCE, ['road', 'ground', 'car'], background='ground')
    assert names(table) == ['road', 'ground', 'car'] and table.background == 1


def test_merging_on_the_command_line():
    table = make_table(SOURCE, merges=['car, truck = vehicle'])
    assert names(table) == ['vehicle', 'road']
    assert table.ids['car'] == table.ids['truck'] == 0


def test_merging_what_a_file_has_renamed_or_kept(tmp_path):
    table = make_table(SOURCE, ['road', 'car', 'truck'], merges=['car,truck=vehicle'])
    assert names(table) == ['road', 'vehicle']


def test_more_than_255_classes_take_16_bits():
    source = Source('any', [SourceClass(str(index)) for index in range(300)])
    table = make_table(source)
    assert table.ignored == 65535 and table.ids['255'] == 255
    assert table.labels(False, 10).dtype.__name__ == 'uint16'


@pytest.mark.parametrize(
    'settings, sentence',
    [
        (dict(choice={'cars': 'vehicle'}), "--classes: the source has no class 'cars'.*mean car"),
        (dict(choice=['bus']), "--classes: the source has no class 'bus'; it has car, truck, road"),
        (dict(merges=['car,truck']), 'is not of the form NAME,NAME=NEW'),
        (dict(merges=['cat=dog']), "--merge: the source has no class 'cat'"),
        (dict(choice=dict.fromkeys(['car', 'truck', 'road'])), 'no class is left'),
    ],
)
def test_mistakes_are_told(settings, sentence):
    with pytest.raises(UserMistake, match=sentence):
        make_table(SOURCE, **settings)


def test_where_every_pixel_has_a_class_no_background_is_made_up():
    source = Source('any', SOURCE.classes, covers_all=True)
    assert make_table(source, background='car').background == 0
    with pytest.raises(UserMistake, match='these masks give every pixel one of the classes car'):
        make_table(source, background='ground')


@pytest.mark.parametrize('text', ['a', '{a: [b]}', '[1, {a: b}]', '', 'a: b: c', '[' * 5000])
def test_files_that_are_no_choice(tmp_path, text):
    with pytest.raises(UserMistake, match='must hold a line|is no YAML'):
        chosen(tmp_path, text)

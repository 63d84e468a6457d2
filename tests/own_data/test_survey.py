"""What a folder of images and masks holds, and the sentence if it holds something else."""

import shutil

import numpy as np
import pytest
from data_folders import write_contract, write_pairs
from PIL import Image
from tiny_run import sentence

from segheads.own_data.survey import survey_data


def test_folder_of_import(tmp_path):
    """Classes, colours and split are what `segheads import` wrote."""
    survey = survey_data(write_contract(tmp_path / 'mine'))
    assert survey.classes.names == ['thing 0', 'thing 1', 'thing 2']
    assert survey.classes.colours[2] == [2, 10, 20]
    assert (survey.count('train'), survey.count('val'), survey.is_drawn) == (3, 3, False)
    assert survey.splits['val'].image_folder == (tmp_path / 'mine/images/val').resolve()
    assert survey.size == (40, 48)


@pytest.mark.parametrize('masks', ['annotations', 'masks'])
def test_folder_without_split(tmp_path, masks):
    """Validation images are drawn by their names, so that more images move none."""
    write_pairs(tmp_path / 'images', tmp_path / masks, 30)
    first = survey_data(tmp_path)
    assert first.is_drawn and first.count('train') + first.count('val') == 30
    assert 1 <= first.count('val') <= 8
    write_pairs(tmp_path / 'images', tmp_path / masks, 45)
    second = survey_data(tmp_path)
    assert set(first.splits['train'].names) <= set(second.splits['train'].names)


def test_split_above_the_kinds(tmp_path):
    """``train/images`` beside ``train/masks``; masks with an ending of their own."""
    for split, count in (('train', 3), ('val', 2)):
        write_pairs(tmp_path / split / 'images', tmp_path / split / 'masks', count, ending='_m.png')
        for mask in (tmp_path / split / 'masks').iterdir():
            mask.rename(mask.with_name(mask.name.replace('_m', '_mask')))
    survey = survey_data(tmp_path)
    assert (survey.count('train'), survey.count('val')) == (3, 2)
    assert survey.splits['train'].mask_suffix == '_mask.png'


def test_classes_by_name_and_by_value(tmp_path):
    """``classes.txt`` counts; without it the values found are classes without a name."""
    write_pairs(tmp_path / 'images', tmp_path / 'masks', labels=(0, 1, 255))
    assert survey_data(tmp_path).classes.names == ['class 0', 'class 1']
    (tmp_path / 'classes.txt').write_text('road\nrest\nsky\n')
    assert survey_data(tmp_path).classes.names == ['road', 'rest', 'sky']
    (tmp_path / 'classes.txt').write_text('road\n')
    assert 'has one class' in sentence(survey_data, tmp_path)


def test_more_than_255_classes(tmp_path):
    """Ids above 255 leave 255 to a class."""
    write_pairs(tmp_path / 'images', tmp_path / 'masks', labels=(*range(0, 300, 8), 255, 65535),
                size=(80, 48))  # fmt: skip
    (tmp_path / 'classes.txt').write_text('\n'.join(f'c{index}' for index in range(300)))
    assert survey_data(tmp_path).classes.ignore_index == 65535


def test_unpaired_images_are_told(tmp_path):
    """An image without a mask is left out, not refused."""
    write_pairs(tmp_path / 'images', tmp_path / 'masks', 5)
    shutil.copy(tmp_path / 'images/photo0.jpg', tmp_path / 'images/extra.jpg')
    survey = survey_data(tmp_path)
    assert any('extra.jpg' in note for note in survey.notes)
    assert survey.count('train') + survey.count('val') == 5


def test_folders_that_are_none(tmp_path):
    """Whatever is not there is said by name."""
    assert 'is not there' in sentence(survey_data, tmp_path / 'nothing')
    (tmp_path / 'file').write_text('')
    assert 'is no folder' in sentence(survey_data, tmp_path / 'file')
    write_pairs(tmp_path / 'a/images', tmp_path / 'a/masks', 1)
    assert 'one pair' in sentence(survey_data, tmp_path / 'a')
    shutil.rmtree(tmp_path / 'a/masks')
    assert 'no mask' in sentence(survey_data, tmp_path / 'a')
    write_pairs(tmp_path / 'b/images', tmp_path / 'b/masks', 3)
    for mask in (tmp_path / 'b/masks').iterdir():
        mask.rename(mask.with_name(f'other{mask.name}'))
    assert 'has the name of an image' in sentence(survey_data, tmp_path / 'b')


def test_folders_of_masks_with_longer_names(tmp_path):
    """``train_masks`` is a folder of masks, whose names may still be others."""
    write_pairs(tmp_path / 'images', tmp_path / 'train_masks', 3)
    assert survey_data(tmp_path).count('train') == 2
    for mask in (tmp_path / 'train_masks').iterdir():
        mask.rename(mask.with_name(f'other{mask.name}'))
    assert 'has the name of an image' in sentence(survey_data, tmp_path)


@pytest.mark.parametrize(
    ('labels', 'told'),
    [
        ((0, 127, 254), 'are no class ids'),
        ((0, 255), 'nothing to tell apart'),
        ((255,), 'nothing to tell apart'),
    ],
)
def test_values_that_are_no_ids(tmp_path, labels, told):
    """Masks that were made to be seen hold no class ids."""
    write_pairs(tmp_path / 'images', tmp_path / 'masks', labels=labels)
    assert told in sentence(survey_data, tmp_path)


def test_masks_that_do_not_fit(tmp_path):
    """Damage, colours, other sizes, other labels: one sentence each, which names the file."""
    write_contract(tmp_path)
    mask = tmp_path / 'annotations/train/photo1.png'
    good = mask.read_bytes()
    for content, told in (
        (np.full((40, 48), 9, np.uint8), 'holds 9'),
        (np.zeros((40, 40), np.uint8), '40x40'),
        (np.zeros((40, 48, 3), np.uint8), 'channels'),
    ):
        Image.fromarray(content).save(mask)
        text = sentence(survey_data, tmp_path)
        assert told in text and 'photo1' in text
    mask.write_bytes(good[:40])
    assert 'photo1.png cannot be read' in sentence(survey_data, tmp_path)
    assert survey_data(tmp_path, skip_damaged=True).count('train') == 3


@pytest.mark.parametrize(
    'text', ['', '[]', '{"classes": 3}', '{"classes": [{"id": 1, "name": "a"}]}',
             '{"classes": [{"id": 0, "name": "a"}, {"id": 1, "name": 7}]}']
)  # fmt: skip
def test_damaged_description(tmp_path, text):
    """A ``dataset.json`` that is none."""
    write_contract(tmp_path)
    (tmp_path / 'dataset.json').write_text(text)
    assert 'dataset.json' in sentence(survey_data, tmp_path)


def test_tiny_images(tmp_path):
    """Networks need 32 pixels."""
    write_pairs(tmp_path / 'images', tmp_path / 'masks', size=(20, 48))
    assert '32 or more' in sentence(survey_data, tmp_path)

"""Which images are for training, which for validation and testing."""

import pytest

from segheads.annotations.rasterising import Shapes
from segheads.annotations.records import Record
from segheads.annotations.splits import SplitRule, split
from segheads.mistakes import UserMistake


def records(names, **splits):
    return [Record(None, name, Shapes(), '', splits.get(name)) for name in names]


def frames(count):
    return [f'video{index // 10}/frame{index:04d}.jpg' for index in range(count)]


def test_the_shares_are_those_asked_for():
    drawn = split(records(frames(2000)), SplitRule(val=0.2, test=0.1))
    kinds = list(drawn.of.values())
    assert drawn.by == 'hash'
    assert 0.18 < kinds.count('val') / 2000 < 0.22
    assert 0.08 < kinds.count('test') / 2000 < 0.12


def test_adding_images_moves_none():
    few, many = (split(records(frames(count)), SplitRule()).of for count in (100, 200))
    assert {name: many[name] for name in few} == few


def test_groups_stay_together():
    for pattern in (r'video\d+', r'(video\d+)/frame'):
        drawn = split(records(frames(400)), SplitRule(val=0.3, group=pattern))
        videos = {}
        for name, kind in drawn.of.items():
            videos.setdefault(name.split('/')[0], set()).add(kind)
        assert all(len(kinds) == 1 for kinds in videos.values())
        assert set(drawn.of.values()) == {'train', 'val'}
        assert drawn.notes[0].startswith('400 images in 40 groups')


def test_there_is_something_to_train_on_and_to_validate():
    for count in range(2, 12):
        kinds = set(split(records(frames(count)), SplitRule()).of.values())
        assert kinds == {'train', 'val'}
    alone = split(records(['a']), SplitRule())
    assert alone.of == {'a': 'train'}
    assert alone.notes[-1].startswith('no image is for validation')
    assert set(split(records(frames(5)), SplitRule(val=0)).of.values()) == {'train'}


def test_what_the_source_says_stays():
    drawn = split(records('abc', a='train', b='val', c='test'), SplitRule(val=0.9))
    assert drawn.by == 'source' and drawn.of == dict(a='train', b='val', c='test')
    names = frames(50)
    drawn = split(records(names, **{names[0]: 'test', names[1]: 'train'}), SplitRule(test=0.5))
    assert drawn.of[names[0]] == 'test' and list(drawn.of.values()).count('test') == 1
    assert 'val' in drawn.of.values()
    drawn = split(records(names, **dict.fromkeys(names, 'test')), SplitRule())
    assert set(drawn.of.values()) == {'train', 'val'}, 'a single split says nothing'


@pytest.mark.parametrize(
    'rule, sentence',
    [
        (SplitRule(val=0.6, test=0.4), 'leave no image to train on; their sum must be below 1'),
        (SplitRule(group='('), 'is no regular expression'),
    ],
)
def test_rules_that_are_none(rule, sentence):
    with pytest.raises(UserMistake, match=sentence):
        rule.check()


def test_a_group_that_no_name_has():
    with pytest.raises(UserMistake, match='is found in no name, such as video0/frame0000.jpg'):
        split(records(frames(5)), SplitRule(group='scene'))

"""Names of outputs: where the images lie, and never the same twice."""

import pytest
from mmseg.registry import DATASETS

from segheads.inference.output_names import name_outputs, output_names


@pytest.mark.parametrize(
    'paths, folders, names',
    [
        (['d/a.png', 'd/b.png'], ['d'], ['a', 'b']),
        (['d/x/a.png', 'd/y/a.png'], ['d'], ['x/a', 'y/a']),
        (['d/x/a.png'], ['d'], ['x/a']),
        (['1/i/a.png', '2/i/a.png'], ['1/i', '2/i'], ['1/i/a', '2/i/a']),
        (['d/a.jpg', 'd/a.png', 'd/b.png'], ['d'], ['a.jpg', 'a.png', 'b']),
        (['d/A.png', 'd/a.png'], ['d'], ['A.png', 'a.png_2']),
        (['d/a.v1.png', 'd/a.v2.png'], ['d'], ['a.v1', 'a.v2']),
        (['scenes://s/1.bmp', 'scenes://s/2.bmp'], [], ['1', '2']),
        (['s3://b/x/1.png', 's3://b/y/1.png'], ['s3://b'], ['x/1', 'y/1']),
        (['d/a.png', 'd/a.png'], ['d'], ['a', 'a']),
        ([], [], []),
    ],
)
def test_names(paths, folders, names):
    found = name_outputs(paths, folders)
    assert [found[path] for path in paths] == names


def test_no_name_leads_out_of_the_folder():
    found = name_outputs(['d/../../a.png', '/elsewhere/a.png', 'd/a.png'], ['d'])
    assert found['d/a.png'] == 'a' and found['/elsewhere/a.png'] == 'elsewhere/a'
    assert not any('..' in name or name.startswith('/') for name in found.values())
    assert len(set(found.values())) == 3


def test_names_of_a_data_set(cfg):
    dataset = cfg.val_dataloader.dataset
    other = dict(dataset, data_prefix=cfg.train_dataloader.dataset.data_prefix)
    several = dict(type='ConcatDataset', datasets=[dataset, other])
    wrapped = dict(type='RepeatDataset', times=2, dataset=several)
    assert set(output_names(DATASETS.build(dataset)).values()) == {'0', '1'}
    names = set(output_names(DATASETS.build(wrapped)).values())
    assert names == {'val/0', 'val/1', *(f'train/{index}' for index in range(4))}
    assert output_names([1, 2]) == {}

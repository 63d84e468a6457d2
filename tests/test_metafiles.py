"""What the metafiles say is what the configs are."""

from pathlib import Path

import pytest
import yaml
from tiny_run import ROOT, load_tool, tracked_configs

CONFIGS = ROOT / 'local_configs'
METAFILES = sorted(CONFIGS.glob('*/metafile.yml'))
MEASURED = {'Batch Size per GPU', 'Iterations', 'Input Size', 'Parameters', 'FLOPs'}

measure = load_tool('measure_metafiles').measure


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding='utf-8'))


def models() -> list[dict]:
    return [model for path in METAFILES for model in read(path)['Models']]


def source(name: str) -> Path:
    """Returns the file in the repository; metafiles name it as the installed package does."""
    folder, _, rest = name.partition('/')
    assert folder == 'configs'
    return CONFIGS / rest


@pytest.mark.parametrize('path', METAFILES, ids=lambda path: path.parent.name)
def test_figures_are_measured(path):
    text = path.read_text(encoding='utf-8')
    assert measure(text) == text, 'run tools/measure_metafiles.py'
    assert all(set(model['Metadata']) >= MEASURED for model in read(path)['Models'])


def test_measuring_corrects_figures_and_nothing_else():
    text = (CONFIGS / 'pcaa' / 'metafile.yml').read_text(encoding='utf-8')
    (entry,) = [model for model in yaml.safe_load(text)['Models'] if '.1k.' in model['Name']]
    head, _, body = text.partition(f'- Name: {entry["Name"]}\n')
    entry_text = f'- Name: {entry["Name"]}\n' + body.partition('\n- Name')[0] + '\n'
    stale = entry_text.replace(f'FLOPs: {entry["Metadata"]["FLOPs"]}', 'FLOPs: 1')
    assert stale != entry_text
    assert measure(stale) == entry_text


def test_every_metafile_is_in_the_index():
    index = read(ROOT / 'model-index.yml')['Import']
    assert [source(name) for name in index] == METAFILES
    assert len(METAFILES) == 5


def test_every_config_is_in_a_metafile_once():
    listed = sorted(source(model['Config']) for model in models())
    assert listed == tracked_configs()
    assert all(source(model['Config']).stem == model['Name'] for model in models())


def test_collections():
    for path in METAFILES:
        content = read(path)
        (collection,) = content['Collections']
        assert {model['In Collection'] for model in content['Models']} == {collection['Name']}
        assert source(collection['README']).is_file()
        assert (ROOT / collection['Code']['URL']).is_file()
        assert set(collection['Metadata']['Training Data']) == {
            model['Metadata']['Training Data'] for model in content['Models']
        }


def test_whose_recipes_and_figures_these_are():
    """Beside MIM's keys: Recipe says who chose the settings, Measured By who got the result."""
    for model in models():
        assert model['Metadata']['Recipe'] in ('authors', 'segheads')
        for result in model.get('Results', ()):
            assert result['Measured By'] in ('authors', 'segheads')
            assert result['Dataset'] == model['Metadata']['Training Data']
        if model['In Collection'] == 'SASFormer':
            assert not model.get('Results'), 'nothing is claimed for a reconstruction'


def test_results_of_ours_are_those_of_the_docs():
    page = (ROOT / 'docs' / 'results.md').read_text(encoding='utf-8')
    ours = [
        (model['Name'], value)
        for model in models()
        for result in model.get('Results', ())
        if result['Measured By'] == 'segheads'
        for value in result['Metrics'].values()
    ]
    assert len(ours) == 3
    for name, value in ours:
        assert f'**{value}**' in page, name

"""The site builds without a warning and without a network, and its configs are configs."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from tiny_run import ROOT

from segheads.configs.preflight import classes_of_head, ignored_labels

DOCS = ROOT / 'docs'


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    pytest.importorskip('material', reason='needs mkdocs-material')
    pytest.importorskip('mkdocstrings', reason='needs mkdocstrings')
    folder = tmp_path_factory.mktemp('site')
    # A proxy that answers nothing: whatever wants the network fails.
    offline = dict.fromkeys(('http_proxy', 'https_proxy'), 'http://127.0.0.1:9')
    build = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(folder)],
        cwd=ROOT,
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stderr
    return folder


class Resources(HTMLParser):
    """Collects what a browser loads by itself."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag in ('script', 'img', 'iframe'):
            self.addresses.append(values.get('src') or '')
        if tag == 'link' and values.get('rel') in ('stylesheet', 'preconnect', 'preload'):
            self.addresses.append(values['href'])


def test_the_site_has_every_page(site):
    pages = {path.parent.relative_to(site).as_posix() for path in site.rglob('index.html')}
    written = {path.stem for path in DOCS.glob('*.md')} - {'index'}
    methods = {f'methods/{path.parent.name}' for path in ROOT.glob('local_configs/*/README.md')}
    packages = {
        'api/' + '.'.join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / 'segheads').rglob('__init__.py')
    }
    assert pages == {'.'} | written | methods | packages
    assert len(methods) == 5


def test_pages_load_nothing_from_elsewhere(site):
    for path in site.rglob('*.html'):
        resources = Resources()
        resources.feed(path.read_text(encoding='utf-8'))
        assert resources.addresses
        assert not [a for a in resources.addresses if a.startswith(('http:', 'https:', '//'))]


def test_the_api_comes_from_docstrings(site):
    page = (site / 'api' / 'segheads.heads' / 'index.html').read_text(encoding='utf-8')
    for head in ('CCASegHead', 'CGRSegHead', 'CCSNetHead', 'PCAAHead', 'SASFormerHead'):
        assert f'id="segheads.heads.{head[:-4].lower()}.{head}"' in page
    page = (site / 'api' / 'segheads.datasets' / 'index.html').read_text(encoding='utf-8')
    assert 'href="https://doi.org/10.1016/j.patrec.2008.04.005"' in page
    assert ':class:' not in page


def test_links_between_the_docs_and_the_code(caplog):
    pytest.importorskip('mkdocs')
    namespace = {'__file__': str(DOCS / 'site_hooks.py'), '__name__': 'site_hooks'}
    exec(compile((DOCS / 'site_hooks.py').read_text(), 'site_hooks.py', 'exec'), namespace)

    def lead(markdown, address='index.md'):
        page = SimpleNamespace(file=SimpleNamespace(src_uri=address))
        return namespace['on_page_markdown'](markdown, page)

    assert lead('[a](../segheads/version.py)') == 'a'
    assert lead('[a](../local_configs/ccaseg)') == '[a](methods/ccaseg.md)'
    assert lead('[a](../ccaseg/README.md)', 'methods/pcaa.md') == '[a](ccaseg.md)'
    assert lead('[a](../../docs/results.md#cost)', 'methods/pcaa.md') == '[a](../results.md#cost)'
    assert lead('[a](datasets.md) [b](https://b.org/)') == '[a](datasets.md) [b](https://b.org/)'
    assert lead('```\n[a](b)\n```') == '```\n[a](b)\n```'
    assert not caplog.records
    lead('[a](../nowhere.md)')
    assert 'links to ../nowhere.md, which does not exist' in caplog.text


def test_the_config_of_your_own_is_one():
    page = (DOCS / 'own_config.md').read_text(encoding='utf-8')
    whole, pretrained, many_classes = re.findall(r'```python\n(.+?)```', page, re.DOTALL)
    folder = ROOT / 'local_configs' / 'ccaseg' / 'B0'
    whole = whole.replace("'./", f"'{folder.as_posix()}/")
    config = Config.fromstring(whole, '.py')
    assert config.train_dataloader.dataset.data_prefix.img_path == 'images/train'
    assert config.val_dataloader.dataset.data_prefix.img_path == 'images/val'
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert loader.dataset.data_root == 'data/mine'
        assert len(loader.dataset.metainfo.classes) == config.model.decode_head.num_classes == 8
    assert config.train_cfg.max_iters == config.param_scheduler[-1].end == 300
    assert config.model.backbone.init_cfg is None

    config = Config.fromstring(f'{whole}\n{pretrained}', '.py')
    assert config.model.backbone.init_cfg.checkpoint.startswith('ckpt/mit_b0')
    assert config.model.decode_head.num_classes == 8

    config.merge_from_dict(Config.fromstring(many_classes, '.py').to_dict())
    assert classes_of_head(config) == 300
    for split in ('train', 'val', 'test'):
        assert ignored_labels(config, split) == {65535}


def test_tools_that_the_docs_name_exist():
    named = {
        tool
        for path in (*DOCS.glob('*.md'), ROOT / 'README.md')
        for tool in re.findall(r'\btools/[\w/]+\.(?:py|sh)\b', path.read_text(encoding='utf-8'))
    }
    assert 'tools/train.py' in named
    assert not [tool for tool in named if not (ROOT / tool).is_file()]

"""What MkDocs cannot do by its settings: pages from elsewhere, links to the code, notation.

MkDocs calls the functions ``on_*`` while it builds the site.
"""

import logging
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'segheads'
LINK = re.compile(r'(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)')
# Docstrings are written in the notation of Sphinx, as MMSegmentation's are.
ROLE = re.compile(r':(?:attr|class|func|math|meth|mod):(?=<code>)')
NAMED_LINK = re.compile(r'<code>([^<]+?) &lt;(https?://[^<\s]+?)&gt;</code>_+')

# Anything but an error counts as a warning, which `mkdocs build --strict` refuses.
log = logging.getLogger('mkdocs.site_hooks')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Appends the pages that are made here to the navigation."""
    config.nav = [
        *config.nav,
        {'Methods': list(_method_pages())},
        {'API': list(_api_pages())},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the methods and of the API."""
    for address, source in _method_pages().items():
        content = source.read_text(encoding='utf-8')
        files.append(File.generated(config, address, content=content))
    for address, content in _api_pages().items():
        files.append(File.generated(config, address, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Leads links to pages of the site, and replaces those to other files by their text."""
    address = page.file.src_uri
    sources = _method_pages()
    addresses = {path: method for method, path in sources.items()}
    source = sources.get(address, ROOT / 'docs' / address)

    def lead(link: re.Match) -> str:
        target = link['target']
        if ':' in target:
            return link[0]
        path = Path(posixpath.normpath(posixpath.join(source.parent.as_posix(), target)))
        if not path.exists():
            log.warning('%s links to %s, which does not exist', source, target)
        if path.is_relative_to(ROOT / 'docs'):
            found = path.relative_to(ROOT / 'docs').as_posix()
        else:
            found = addresses.get(path) or addresses.get(path / 'README.md')
        if found is None:
            return link['text']
        relative = posixpath.relpath(found, posixpath.dirname(address) or '.')
        return f'[{link["text"]}]({relative}{link["anchor"] or ""})'

    # Code may hold what looks like a link.
    parts = re.split(r'(^```.*?^```$)', markdown, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [LINK.sub(lead, part) for part in parts[::2]]
    return ''.join(parts)


def on_page_content(html: str, page: Page, **_: object) -> str:
    """Mends what Markdown does not know of the notation of docstrings."""
    if page.file.src_uri.startswith('api/'):
        html = NAMED_LINK.sub(r'<a href="\2">\1</a>', ROLE.sub('', html))
    return html


def _method_pages() -> dict[str, Path]:
    """Returns the README of each method by the address of its page."""
    readmes = sorted(ROOT.glob('local_configs/*/README.md'))
    return {f'methods/{readme.parent.name}.md': readme for readme in readmes}


def _api_pages() -> dict[str, str]:
    """Returns a page for the package and for each package in it, which mkdocstrings fills in."""
    pages = {}
    for folder in (PACKAGE, *sorted(path.parent for path in PACKAGE.glob('*/__init__.py'))):
        name = '.'.join(folder.relative_to(ROOT).parts)
        modules = [f'{name}.{path.stem}' for path in sorted(folder.glob('[!_]*.py'))]
        pages[f'api/{name}.md'] = '\n\n'.join(
            [f'# {name}', *(f'::: {module}' for module in modules)]
        )
    return pages

"""Weights from the Hugging Face hub, by its own client.

The client resumes, caches where transformers and timm look too, and obeys the variables of the
environment that it documents: ``HF_ENDPOINT`` for a mirror, ``HF_TOKEN``, ``HF_HOME`` and
``HF_HUB_OFFLINE``.
"""

import re
from pathlib import Path
from typing import NamedTuple

from segheads.transfer import DownloadError

from .files import FILES, INDEX_ENDING, parts_of_index

SCHEME = 'hf://'
ADDRESS = re.compile(
    r'(?:hf://)?(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?(?:/(?P<file>[\w./-]+))?'
)


class HubAddress(NamedTuple):
    """What ``hf://OWNER/NAME[@REVISION][/FILE]`` names.

    Attributes:
        repository (str): Owner and name.
        revision (str | None): Branch, tag or commit; None for the main branch.
        file (str | None): A file; None for that of the weights, whatever it is called.
    """

    repository: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        revision = f'@{self.revision}' if self.revision else ''
        return f'{SCHEME}{self.repository}{revision}{f"/{self.file}" if self.file else ""}'


def hub_address(text: str) -> HubAddress:
    """Reads the address of a repository, with or without ``hf://`` before it.

    Args:
        text (str): Such as ``nvidia/mit-b0`` or ``hf://nvidia/mit-b0@main/model.safetensors``.

    Returns:
        HubAddress: Its parts.

    Raises:
        DownloadError: If it is none.
    """
    found = ADDRESS.fullmatch(text)
    if found is None or '..' in text:
        raise DownloadError(
            f'{text} is no address on the Hugging Face hub; write hf://OWNER/NAME, and after it '
            '@REVISION or /FILE where needed, such as hf://nvidia/mit-b0'
        )
    return HubAddress(**found.groupdict())


def fetch_from_hub(address: HubAddress, folder: Path | None = None) -> Path:
    """Fetches weights from the hub, unless they are there already.

    Args:
        address (HubAddress): What to fetch.
        folder (Path | None): A folder to put the files into, below one named after the repository.
            Default: None, which is the client's cache.

    Returns:
        Path: The file of the weights, or the index of their parts, which lie beside it.

    Raises:
        DownloadError: If the client is not installed, or the weights cannot be had.
    """
    for name in [address.file] if address.file else FILES:
        path = _fetch_file(address, name, folder)
        if path is not None:
            if name.endswith(INDEX_ENDING):
                for part in _parts(path):
                    if _fetch_file(address, str(Path(name).with_name(part)), folder) is None:
                        raise DownloadError(f'{address} lists {part}, and has no such file')
            return path
    raise DownloadError(
        f'{address} has none of {", ".join(FILES)}; name the file with the weights after another /'
        if address.file is None
        else f'{address} does not exist, though its repository does; correct the name of the file'
    )


def cached_from_hub(address: HubAddress) -> Path | None:
    """Finds weights in the client's cache, without a network.

    Args:
        address (HubAddress): What to look for.

    Returns:
        Path | None: The file of the weights, or the index of their parts; None if they are not
        there, or only in part.
    """
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    for name in [address.file] if address.file else FILES:
        found = try_to_load_from_cache(address.repository, name, revision=address.revision)
        if not isinstance(found, str):
            continue
        path = Path(found)
        is_index = name.endswith(INDEX_ENDING)
        parts = _parts(path) if is_index else []
        if all((path.parent / part).is_file() for part in parts):
            return path
    return None


def _parts(index: Path) -> list[str]:
    try:
        return parts_of_index(index)
    except ValueError as error:
        raise DownloadError(str(error)) from error


def _fetch_file(address: HubAddress, name: str, folder: Path | None) -> Path | None:
    """Fetches a file; None if the repository exists and has no such file."""
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError as error:
        raise DownloadError(
            f'{address} is fetched by huggingface_hub, which cannot be imported ({error}); run '
            '`pip install "segheads[hub]"`'
        ) from error
    target = folder / address.repository.replace('/', '--') if folder else None
    try:
        return Path(
            hf_hub_download(address.repository, name, revision=address.revision, local_dir=target)
        )
    except errors.LocalEntryNotFoundError as error:
        cause = ' '.join(str(error.__cause__ or error).split())[:200]
        raise DownloadError(
            f'{address} is not on this machine, and the hub cannot be reached or must not be '
            f'({cause}); check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or fetch {name} '
            'elsewhere and name the file'
        ) from error
    except errors.EntryNotFoundError:
        return None
    except errors.GatedRepoError as error:
        raise DownloadError(
            f'{address} is only for those whom its owners admit; ask for it on its page, and set '
            'HF_TOKEN'
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise DownloadError(
            f'{address} does not exist on the hub, or is private; correct the name, or set HF_TOKEN'
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DownloadError(f'{address} has no such revision') from error
    except Exception as error:  # each version of the client raises its own
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())[:200]
        raise DownloadError(f'{address} could not be fetched ({reason})') from error

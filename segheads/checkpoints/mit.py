"""Names of the MiT encoder in NVIDIA's files (``mit_b0.pth`` and the like), and in transformers'.

The authors' models keep these names too. MMSegmentation's MixVisionTransformer has its own, and
keeps the projections to queries, keys and values in one matrix, and linear layers as convolutions.
"""

from collections.abc import MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .key_table import KeyTable
from .transformers_segformer import rename_transformers_mit

BLOCK = {
    'attn.q': 'attn.attn.q',
    'attn.kv': 'attn.attn.kv',
    'attn.proj': 'attn.attn.out_proj',
    'mlp.fc1': 'ffn.layers.0',
    'mlp.dwconv.dwconv': 'ffn.layers.1',
    'mlp.fc2': 'ffn.layers.4',
}


def mit_key_table(depths: Sequence[int]) -> KeyTable:
    """Build the table for an encoder of the given shape.

    Args:
        depths (Sequence[int]): Number of blocks in each stage.

    Returns:
        KeyTable: NVIDIA's module paths and MMSegmentation's, but for ``attn.q`` and ``attn.kv``,
        which :func:`translate_mit` merges.
    """
    renames = {}
    for stage, depth in enumerate(depths):
        released, ours = stage + 1, f'layers.{stage}'
        renames[f'patch_embed{released}.proj'] = f'{ours}.0.projection'
        renames[f'patch_embed{released}.norm'] = f'{ours}.0.norm'
        renames[f'norm{released}'] = f'{ours}.2'
        for block in range(depth):
            renames[f'block{released}.{block}'] = f'{ours}.1.{block}'
            for theirs, name in BLOCK.items():
                renames[f'block{released}.{block}.{theirs}'] = f'{ours}.1.{block}.{name}'
    # The classifier of ImageNet.
    return KeyTable(renames, unused=('head',))


def translate_mit(
    encoder: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str, *_: Any
) -> None:
    """Translate others' names and shapes into those of an encoder; a load-state-dict pre-hook.

    Args:
        encoder (nn.Module): A MixVisionTransformer.
        state_dict (MutableMapping): The checkpoint; it is changed in place.
        prefix (str): Of the encoder's weights in it.
    """
    merge_mit([len(blocks) for _, blocks, _ in encoder.layers], state_dict, prefix)


def merge_mit(depths: Sequence[int], state_dict: MutableMapping[str, Tensor], prefix: str) -> None:
    """Translate the names and shapes of NVIDIA and of transformers, in place, where there are any.

    Args:
        depths (Sequence[int]): Number of blocks in each stage, or more.
        state_dict (MutableMapping): The checkpoint.
        prefix (str): Of the encoder's weights in it.
    """
    rename_transformers_mit(depths, state_dict, prefix)
    mit_key_table(depths).translate(state_dict, prefix)
    for key in [key for key in state_dict if key.startswith(prefix)]:
        path, _, kind = key.rpartition('.')
        if path.endswith('.attn.attn.q'):
            others = ('kv',) if f'{path[:-1]}kv.{kind}' in state_dict else ('k', 'v')
            names = [f'{path[:-1]}{name}.{kind}' for name in ('q', *others)]
            if all(name in state_dict for name in names):
                parts = [state_dict.pop(name) for name in names]
                state_dict[f'{path[:-1]}in_proj_{kind}'] = torch.cat(parts)
        elif path.endswith(('.ffn.layers.0', '.ffn.layers.4')) and state_dict[key].dim() == 2:
            state_dict[key] = state_dict[key][:, :, None, None]

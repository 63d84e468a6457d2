"""Names of SegFormer in transformers: of its encoder, MiT, and of the whole model.

A file has the names of version 4 (``segformer.encoder.block.0.0.attention.self.query``), which
version 5 still writes; its model in memory has others (``segformer.stages.0.blocks.0...``).
"""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segheads.mistakes import UserMistake

from .key_table import KeyTable

# The parts of a block, and which of ours they are; queries, keys and values are merged later.
BLOCK_IN_FILE = {
    'layer_norm_1': 'norm1',
    'layer_norm_2': 'norm2',
    'attention.self.query': 'attn.attn.q',
    'attention.self.key': 'attn.attn.k',
    'attention.self.value': 'attn.attn.v',
    'attention.self.sr': 'attn.sr',
    'attention.self.layer_norm': 'attn.norm',
    'attention.output.dense': 'attn.attn.out_proj',
    'mlp.dense1': 'ffn.layers.0',
    'mlp.dwconv.dwconv': 'ffn.layers.1',
    'mlp.dense2': 'ffn.layers.4',
}
BLOCK_IN_MEMORY = {
    'layernorm_before': 'norm1',
    'layernorm_after': 'norm2',
    'attention.q_proj': 'attn.attn.q',
    'attention.k_proj': 'attn.attn.k',
    'attention.v_proj': 'attn.attn.v',
    'attention.sequence_reduction.sequence_reduction': 'attn.sr',
    'attention.sequence_reduction.layer_norm': 'attn.norm',
    'attention.o_proj': 'attn.attn.out_proj',
    'mlp.fc1': 'ffn.layers.0',
    'mlp.dwconv.dwconv': 'ffn.layers.1',
    'mlp.fc2': 'ffn.layers.4',
}
MODEL = 'segformer.'
FIRST_LAYERS = ('encoder.patch_embeddings.0', 'stages.0.patch_embeddings')
PROJECTIONS = ('linear_c', 'linear_projections')


def transformers_mit_key_tables(depths: Sequence[int]) -> tuple[KeyTable, KeyTable]:
    """Build the tables for an encoder of the given shape.

    Args:
        depths (Sequence[int]): Number of blocks in each stage.

    Returns:
        tuple[KeyTable, KeyTable]: Names in a file and names in memory, and MMSegmentation's, but
        for queries, keys and values.
    """
    in_file, in_memory = {}, {}
    for stage, depth in enumerate(depths):
        ours = f'layers.{stage}'
        in_file[f'encoder.patch_embeddings.{stage}.proj'] = f'{ours}.0.projection'
        in_file[f'encoder.patch_embeddings.{stage}.layer_norm'] = f'{ours}.0.norm'
        in_file[f'encoder.layer_norm.{stage}'] = f'{ours}.2'
        in_memory[f'stages.{stage}.patch_embeddings.proj'] = f'{ours}.0.projection'
        in_memory[f'stages.{stage}.patch_embeddings.layer_norm'] = f'{ours}.0.norm'
        in_memory[f'stages.{stage}.layer_norm'] = f'{ours}.2'
        for block in range(depth):
            for theirs, name in BLOCK_IN_FILE.items():
                in_file[f'encoder.block.{stage}.{block}.{theirs}'] = f'{ours}.1.{block}.{name}'
            for theirs, name in BLOCK_IN_MEMORY.items():
                in_memory[f'stages.{stage}.blocks.{block}.{theirs}'] = f'{ours}.1.{block}.{name}'
    return KeyTable(in_file), KeyTable(in_memory)


def rename_transformers_mit(
    depths: Sequence[int], state_dict: MutableMapping[str, Tensor], prefix: str
) -> None:
    """Translate transformers' names of an encoder in place, where there are any.

    What else a file of transformers holds, a classifier or a decode head, is dropped if the encoder
    stands alone.

    Args:
        depths (Sequence[int]): Number of blocks in each stage, or more.
        state_dict (MutableMapping): The checkpoint.
        prefix (str): Of the encoder's weights in it.
    """
    start = _start_of_encoder(state_dict, prefix)
    if start is None:
        return
    for key in [key for key in state_dict if key.startswith(prefix)]:
        tensor = state_dict.pop(key)
        if key.startswith(start) and not key[len(prefix) :].startswith(('classifier.', 'decode_')):
            state_dict[prefix + key[len(start) :]] = tensor
    for table in transformers_mit_key_tables(depths):
        table.translate(state_dict, prefix)


def holds_transformers_mit(state_dict: Mapping[str, Tensor], prefix: str) -> bool:
    """Tell whether a checkpoint holds an encoder under transformers' names.

    Args:
        state_dict (Mapping): The checkpoint.
        prefix (str): Of the encoder's weights in it.

    Returns:
        bool: Whether it does.
    """
    return _start_of_encoder(state_dict, prefix) is not None


def _start_of_encoder(state_dict: Mapping[str, Tensor], prefix: str) -> str | None:
    for start in (f'{prefix}{MODEL}', prefix):
        if any(f'{start}{first}.proj.weight' in state_dict for first in FIRST_LAYERS):
            return start
    return None


def put_encoder_below_backbone(
    state_dict: MutableMapping[str, Tensor], prefix: str, *_: Any
) -> None:
    """Put the encoder of a whole SegFormer where a segmentor has it; a load-state-dict pre-hook.

    Args:
        state_dict (MutableMapping): The checkpoint; it is changed in place.
        prefix (str): Of the segmentor's weights in it.
    """
    for key in [key for key in state_dict if key.startswith(f'{prefix}{MODEL}')]:
        state_dict[f'{prefix}backbone.{key[len(prefix) :]}'] = state_dict.pop(key)


def translate_segformer_head(
    head: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str, *_: Any
) -> None:
    """Translate the head of transformers' SegFormer into MMSegmentation's; a pre-hook.

    transformers projects each level by a linear layer, and stacks the levels from coarse to fine.
    MMSegmentation's head stacks them from fine to coarse, has a norm in each projection, which is
    set to change nothing but to add the bias, and by default an activation, which cannot be undone.

    Args:
        head (nn.Module): A SegformerHead.
        state_dict (MutableMapping): The checkpoint; it is changed in place.
        prefix (str): Of the head's weights in it.

    Raises:
        UserMistake: If the head computes something else than transformers' does.
    """
    name = next((n for n in PROJECTIONS if f'{prefix}{n}.0.proj.weight' in state_dict), None)
    if name is None:
        return
    _check_same_function(head)
    for level, conv in enumerate(head.convs):
        theirs, ours = f'{prefix}{name}.{level}.proj', f'{prefix}convs.{level}'
        if f'{theirs}.weight' not in state_dict:
            continue  # whoever loads says what is missing
        state_dict[f'{ours}.conv.weight'] = state_dict.pop(f'{theirs}.weight')[..., None, None]
        bias = state_dict.pop(f'{theirs}.bias')
        if conv.norm is None:
            state_dict[f'{ours}.conv.bias'] = bias
            continue
        state_dict[f'{ours}.bn.weight'] = torch.ones_like(bias)
        state_dict[f'{ours}.bn.bias'] = bias
        state_dict[f'{ours}.bn.running_mean'] = torch.zeros_like(bias)
        state_dict[f'{ours}.bn.running_var'] = torch.ones_like(bias) - conv.norm.eps
    if f'{prefix}linear_fuse.weight' in state_dict:
        levels = state_dict.pop(f'{prefix}linear_fuse.weight').chunk(len(head.convs), dim=1)
        state_dict[f'{prefix}fusion_conv.conv.weight'] = torch.cat(levels[::-1], dim=1)
    KeyTable({'batch_norm': 'fusion_conv.bn', 'classifier': 'conv_seg'}).translate(
        state_dict, prefix
    )


def _check_same_function(head: nn.Module) -> None:
    asked = ''
    if any(conv.with_activation for conv in head.convs):
        asked = 'act_cfg=None, since its projections have no activation'
    norms = [conv.norm for conv in head.convs if conv.norm is not None] + [head.fusion_conv.norm]
    if not all(isinstance(norm, nn.modules.batchnorm._BatchNorm) for norm in norms):
        asked = 'batch norms (norm_cfg=dict(type="BN")), since it has one behind the fusion'
    if asked:
        raise UserMistake(
            f"a whole SegFormer of transformers needs MMSegmentation's SegformerHead with {asked}"
        )

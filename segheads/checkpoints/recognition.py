"""Tells by the names of its weights which method a checkpoint belongs to."""

from collections.abc import Iterable
from dataclasses import dataclass

from .file_format import CheckpointError

# Beginnings of names that no other method has, in the releases and in ours.
RELEASED = {
    'CCASeg': 'decode_head.attnc',
    'CGRSeg': 'decode_head.SIM.',
    'CCSNet': 'decode_head.object_context_block_c',
    'PCAA': 'head.module_list.',
    # NVIDIA's, and transformers' in a file and in memory.
    'MiT': (
        'block1.0.attn.q.',
        *(f'{start}encoder.block.0.' for start in ('segformer.', '')),
        *(f'{start}stages.0.patch_embeddings.' for start in ('segformer.', '')),
    ),
    'EfficientFormerV2': 'network.0.0.',
}
OURS = {
    'CCASeg': 'decode_head.key_injections.',
    'CGRSeg': 'decode_head.reconstructions.',
    'CCSNet': 'decode_head.class_centres.',
    'PCAA': 'decode_head.attentions.0.class_activation.',
    'SASFormer': 'decode_head.extractor.',
    'MiT': 'layers.0.1.0.attn.attn.in_proj_',
    'EfficientFormerV2': 'stages.0.blocks.0.',
}


@dataclass(frozen=True)
class Recognised:
    """What a checkpoint holds.

    Args:
        method (str): A method, or the encoder if it holds nothing else.
        is_released (bool): Whether the method's weights have the names of the authors' release.
    """

    method: str
    is_released: bool


def recognise(names: Iterable[str]) -> Recognised:
    """Tells which method weights belong to.

    Args:
        names (Iterable[str]): Names of the weights, without 'module.' before them.

    Returns:
        Recognised: The method.

    Raises:
        CheckpointError: If it is none that segheads has.
    """
    names = list(names)
    for table, is_released in ((RELEASED, True), (OURS, False)):
        for method, beginning in table.items():
            if any(name.startswith(beginning) for name in names):
                return Recognised(method, is_released)
    parts = dict.fromkeys('.'.join(name.split('.')[:2]) for name in names)
    raise CheckpointError(
        f'it is of none of {", ".join(OURS)}: its weights are {", ".join(list(parts)[:5])} '
        f'and so on ({len(names)} in all)'
    )

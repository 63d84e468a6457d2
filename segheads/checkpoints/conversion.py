"""Translates a whole checkpoint from the names of a release into ours, without a model.

While a checkpoint is loaded, modules translate the names themselves and know their own shape. Here
the tables are built for more levels and blocks than any variant has: names that a checkpoint does
not hold change nothing.
"""

from collections.abc import Mapping

from torch import Tensor

from .ccaseg import ccaseg_key_table
from .ccsnet import ccsnet_key_table
from .cgrseg import cgrseg_key_table, efficientformer_v2_key_table
from .key_table import KeyTable
from .mit import merge_mit
from .pcaa import PCAA_MODEL_KEYS, pcaa_key_tables
from .recognition import Recognised, recognise
from .transformers_segformer import holds_transformers_mit

MANY = 50
STAGES = 4


def convert_weights(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Recognised]:
    """Translates the names of all weights into ours.

    Args:
        weights (Mapping[str, Tensor]): Weights by name: of a whole model or of an encoder, as
            released or ours already.

    Returns:
        tuple[dict[str, Tensor], Recognised]: Weights by our names, without those that take no part
        in the released forward pass; and what they were recognised as.

    Raises:
        segheads.checkpoints.CheckpointError: If they are of no method that segheads has.
    """
    recognised = recognise(weights)
    converted = dict(weights)
    if recognised.method == 'PCAA' and recognised.is_released:
        for table in PCAA_MODEL_KEYS:
            table.translate(converted, '')
    if recognised.is_released:
        for table in _head_tables(recognised.method, converted):
            table.translate(converted, 'decode_head.')
    for prefix in ('', 'backbone.'):
        _convert_encoder(converted, prefix)
    return converted, recognised


def _head_tables(method: str, weights: Mapping[str, Tensor]) -> tuple[KeyTable, ...]:
    if method == 'CCASeg':
        # The release has two shapes: four levels with logits at the second, and three.
        has_four = any(name.startswith('decode_head.attnc1') for name in weights)
        return (ccaseg_key_table(4, MANY, 1) if has_four else ccaseg_key_table(3, MANY, 0),)
    if method == 'CGRSeg':
        return (cgrseg_key_table(MANY, MANY),)
    if method == 'CCSNet':
        return (ccsnet_key_table(MANY),)
    if method == 'PCAA':
        table, other_classifier = pcaa_key_tables(MANY, dropout=True)
        return (other_classifier, table)
    return ()


def _convert_encoder(weights: dict[str, Tensor], prefix: str) -> None:
    if f'{prefix}block1.0.attn.q.weight' in weights or holds_transformers_mit(weights, prefix):
        merge_mit([MANY] * STAGES, weights, prefix)
    elif f'{prefix}network.0.0.mlp.fc1.weight' in weights:
        efficientformer_v2_key_table([MANY] * STAGES).translate(weights, prefix)
        for name in [name for name in weights if name.startswith(prefix)]:
            # The authors' layer scales are (C, 1, 1).
            if name.endswith('.gamma'):
                weights[name] = weights[name].flatten()

"""Names of the released CGRSeg head and of the EfficientFormerV2 that it is released with."""

from collections.abc import MutableMapping, Sequence
from typing import Any

from torch import Tensor, nn

from .key_table import KeyTable

CALIBRATION = {
    'token_mixer.dwconv_hw': 'attention.local',
    'token_mixer.excite.0': 'attention.horizontal',
    'token_mixer.excite.1': 'attention.norm',
    'token_mixer.excite.3': 'attention.vertical',
    'mlp.fc1': 'mlp.0',
    'mlp.fc2': 'mlp.2',
}

ENCODER_STEM = {
    'patch_embed.0': 'stem.conv1.conv',
    'patch_embed.1': 'stem.conv1.bn',
    'patch_embed.3': 'stem.conv2.conv',
    'patch_embed.4': 'stem.conv2.bn',
}
ENCODER_BLOCK = {
    'layer_scale_1': 'ls1.gamma',
    'layer_scale_2': 'ls2.gamma',
    'mlp.fc1': 'mlp.fc1.conv',
    'mlp.norm1': 'mlp.fc1.bn',
    'mlp.mid': 'mlp.mid.conv',
    'mlp.mid_norm': 'mlp.mid.bn',
    'mlp.fc2': 'mlp.fc2.conv',
    'mlp.norm2': 'mlp.fc2.bn',
}
ENCODER_ATTENTION = {
    **{f'{name}.0': f'{name}.conv' for name in ('q', 'k', 'v', 'v_local', 'stride_conv')},
    **{f'{name}.1': f'{name}.bn' for name in ('q', 'k', 'v', 'v_local', 'stride_conv')},
    'proj.1': 'proj.conv',
    'proj.2': 'proj.bn',
    'attention_biases_seg': 'attention_biases',
}
ENCODER_DOWNSAMPLING_ATTENTION = {
    **{f'{name}.0': f'{name}.conv' for name in ('q.proj', 'k', 'v', 'v_local')},
    **{f'{name}.1': f'{name}.bn' for name in ('q.proj', 'k', 'v', 'v_local')},
    'q.local.0': 'q.local',
    'proj.1': 'proj.conv',
    'proj.2': 'proj.bn',
    'attention_biases_seg': 'attention_biases',
}
# In a segmentation model these belong to the classification at 224x224 pixels, or are indices that
# follow from the shape of the tables.
ENCODER_UNUSED = ('attention_biases', 'attention_bias_idxs', 'attention_bias_idxs_seg')
CLASSIFIERS = ('norm', 'head', 'dist_head', 'head_dist')


def cgrseg_key_table(num_levels: int, num_context_blocks: int) -> KeyTable:
    """Build the table for a head of the given shape.

    Args:
        num_levels (int): Number of backbone levels that take part.
        num_context_blocks (int): Blocks on the pooled levels.

    Returns:
        KeyTable: Released module paths and ours.
    """
    renames = {'linear_fuse': 'coarse_embedding', 'lgc': 'guidance'}
    blocks = {
        f'trans.transformer_blocks.{block}': f'context_blocks.{block}'
        for block in range(num_context_blocks)
    }
    for level in range(num_levels):
        blocks[f'meta.{level}'] = f'reconstructions.{level}'
        renames[f'conv.{level}'] = f'top_down.{level}'
        renames[f'SIM.{level}.fuse1'] = f'fusions.{level}.local'
        renames[f'SIM.{level}.fuse2'] = f'fusions.{level}.context'
    renames |= blocks
    for theirs, ours in blocks.items():
        renames |= _below(theirs, ours, CALIBRATION)
    return KeyTable(renames)


def efficientformer_v2_key_table(depths: Sequence[int]) -> KeyTable:
    """Build the table for an encoder of the given shape, from the authors' names to timm's.

    Args:
        depths (Sequence[int]): Number of blocks in each of the four stages.

    Returns:
        KeyTable: Released module paths and timm's.
    """
    renames = dict(ENCODER_STEM)
    attentions = ['network.5.attn']
    for stage, depth in enumerate(depths):
        # The release counts stages and what lies between them as one sequence.
        renames[f'network.{2 * stage}'] = f'stages.{stage}.blocks'
        for block in range(depth):
            theirs, ours = f'network.{2 * stage}.{block}', f'stages.{stage}.blocks.{block}'
            renames |= _below(theirs, ours, ENCODER_BLOCK)
            # Only the last blocks of the last stages have one; the names of the rest hurt nobody.
            renames |= _below(f'{theirs}.token_mixer', f'{ours}.token_mixer', ENCODER_ATTENTION)
            attentions.append(f'{theirs}.token_mixer')
    for stage in (1, 2):
        theirs, ours = f'network.{2 * stage - 1}', f'stages.{stage}.downsample.conv'
        renames |= _below(theirs, ours, {'proj': 'conv', 'norm': 'bn'})
    renames |= _below(
        'network.5', 'stages.3.downsample', {'conv': 'conv.conv', 'bn': 'conv.bn', 'attn': 'attn'}
    )
    renames |= _below('network.5.attn', 'stages.3.downsample.attn', ENCODER_DOWNSAMPLING_ATTENTION)
    unused = [f'{attention}.{name}' for attention in attentions for name in ENCODER_UNUSED]
    return KeyTable(renames, unused=(*unused, *CLASSIFIERS))


def unwrap_classification_file(state_dict: MutableMapping[str, Any], prefix: str, *_: Any) -> None:
    """Take the weights out of a file that keeps them under 'model', as ``eformer_*_450.pth`` does.

    A load-state-dict pre-hook, to be registered before the key table.
    """
    if not prefix and isinstance(state_dict.get('model'), dict):
        weights = state_dict['model']
        state_dict.clear()
        state_dict.update(weights)


def fit_to_encoder(
    encoder: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str, *_: Any
) -> None:
    """Fit tensors that carry timm's names already to an encoder without a classifier.

    A load-state-dict pre-hook, to be registered after the key table. The authors' layer scales
    have the shape (C, 1, 1), timm's (C). Position biases of another image size are dropped: the
    authors' segmentation models, too, start from zero instead of the pretrained ones.
    """
    shapes = {key: tensor.shape for key, tensor in encoder.state_dict().items()}
    for key in [key for key in state_dict if key.startswith(prefix)]:
        name = key[len(prefix) :]
        if name.split('.')[0] in CLASSIFIERS:
            del state_dict[key]
        elif name.endswith('.gamma'):
            state_dict[key] = state_dict[key].flatten()
        elif name.endswith('.attention_biases') and state_dict[key].shape != shapes.get(name):
            del state_dict[key]


def _below(theirs: str, ours: str, names: dict[str, str]) -> dict[str, str]:
    return {f'{theirs}.{released}': f'{ours}.{name}' for released, name in names.items()}

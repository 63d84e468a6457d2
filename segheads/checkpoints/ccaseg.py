"""Names of the released CCASeg heads (``CCASegHead_mit``, ``_tiny`` and ``_small``)."""

from .key_table import KeyTable

# The release counts levels 1 to 4 from fine to coarse, and names what belongs to the keys of a
# level by the reciprocal of its share of a 1/256 grid.
KEY_NAMES = {1: 'multi64', 2: 'multi32', 3: 'multi16', 4: 'multi8'}

BLOCK = {
    'norm1': 'query_norm',
    'proj1': 'query_proj.0',
    'conv1': 'query_context.square',
    'norm2': 'key_norm',
    'proj2': 'key_proj.0',
    'conv2': 'key_context.square',
    **{f'conv{strip}_1': f'query_context.strips.{strip}.0' for strip in range(3)},
    **{f'conv{strip}_2': f'query_context.strips.{strip}.1' for strip in range(3)},
    **{f'conv{strip}_3': f'key_context.strips.{strip}.0' for strip in range(3)},
    **{f'conv{strip}_4': f'key_context.strips.{strip}.1' for strip in range(3)},
    'conv3': 'proj',
    'norm3': 'ffn_norm',
    'conv4': 'ffn.0',
    'dw': 'ffn.1',
    'conv5': 'ffn.3',
}


def ccaseg_key_table(num_levels: int, num_blocks: int, out_level: int) -> KeyTable:
    """Build the table for a head of the given shape.

    Args:
        num_levels (int): Number of backbone levels that take part, the last at stride 32.
        num_blocks (int): Cross-attention blocks per level.
        out_level (int): Level whose resolution the logits have, as in ``CCASegHead``.

    Returns:
        KeyTable: Released module paths and ours; empty for more levels than the release has.
    """
    if num_levels > len(KEY_NAMES):
        return KeyTable({})
    finest = 5 - num_levels
    renames = {'linear_fuse': 'bottleneck', 'linear_pred': 'conv_seg'}
    for level in range(num_levels):
        released = level + finest
        for block in range(num_blocks):
            name = f'attnc{released}' if block == 0 else f'attnc{released}_{block}'
            for theirs, ours in BLOCK.items():
                renames[f'{name}.{theirs}'] = f'attentions.{level}.{block}.{ours}'
        renames[f'inject{released}'] = f'refinements.{level}'
        for source in range(1, num_levels):
            theirs = f'{KEY_NAMES[released]}_{source + finest}'
            renames[theirs] = f'key_injections.{level}.{source - 1}'
        if level > 0:
            renames[f'predict{released - 1}_{released}'] = f'fusions.{level - 1}'
        for source in range(level if level >= out_level else 0):
            theirs = f'down{source + finest}_{level - source}.sr'
            renames[theirs] = f'pools.{level - out_level}.{source}.proj'
    # `conv_seg` of the release is its base class's classifier, which it never calls; tiny and
    # small also build the keys of a finest level that they do not have.
    dead_keys = tuple(f'{KEY_NAMES[1]}_{source}' for source in (3, 4)) if finest == 2 else ()
    return KeyTable(renames, unused=('conv_seg', *dead_keys))

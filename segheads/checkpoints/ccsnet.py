"""Names of the released CCSNet head (``CCSNetHead``)."""

from .key_table import KeyTable


def ccsnet_key_table(num_levels: int) -> KeyTable:
    """Build the table for a head of the given number of levels.

    Args:
        num_levels (int): Number of backbone levels; the release has four.

    Returns:
        KeyTable: Released module paths and ours.
    """
    renames = {
        'k_proj': 'class_centres.key_proj',
        'v_proj': 'class_centres.value_proj',
        'linear_fuse': 'fuse',
        'linear_pred': 'conv_seg',
    }
    for level in range(num_levels):
        released = level + 1
        renames[f'c{released}_proj'] = f'attentions.{level}.query_proj'
        renames[f'object_context_block_c{released}'] = f'attentions.{level}'
    # `conv_seg` of the release is its base class's classifier, which it never calls.
    return KeyTable(renames, unused=('conv_seg',))

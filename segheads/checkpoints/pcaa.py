"""Names of the released PCAA models (``CAAHead`` with its encoder and auxiliary branch)."""

from .key_table import KeyTable

CONVOLUTIONS = {'conva': 'reduction', 'convb': 'refinement', 'conv_seg': 'bottleneck'}

STAGE = {
    'conv_cam': 'class_activation',
    'gcn.conv1': 'region_mixing',
    'gcn.conv2': 'channel_mixing',
    'fuse': 'region_fusion',
    'proj_query': 'query_proj',
    'proj_key': 'key_proj',
    'proj_value': 'value_proj',
    'conv_out.0': 'out_proj.conv',
    'conv_out.1': 'out_proj.bn',
}

# From the names of a whole model to MMSegmentation's: first the prefix that DataParallel leaves,
# then the place of the auxiliary classifier, which stands behind the dropout if there is one.
PCAA_MODEL_KEYS = (
    KeyTable({f'module.{part}': part for part in ('backbone', 'head', 'dsn')}),
    KeyTable({'dsn.4': 'dsn.3'}),
    KeyTable(
        {
            'head': 'decode_head',
            'dsn.0': 'auxiliary_head.convs.0.conv',
            'dsn.1': 'auxiliary_head.convs.0.bn',
            'dsn.3': 'auxiliary_head.conv_seg',
        }
    ),
)


def pcaa_key_tables(num_stages: int, dropout: bool) -> tuple[KeyTable, KeyTable]:
    """Build the tables for a head of the given shape.

    Args:
        num_stages (int): Number of attention stages.
        dropout (bool): Whether the classifier follows a dropout, which in the release shifts its
            name. Dropout has no weights: a checkpoint fits with and without it.

    Returns:
        tuple[KeyTable, KeyTable]: Released module paths and ours; and, to be applied before it,
        the released names of the other case and those of this one.
    """
    classifier, other = ('conv_seg.4', 'conv_seg.3') if dropout else ('conv_seg.3', 'conv_seg.4')
    renames = {classifier: 'conv_seg'}
    for theirs, ours in CONVOLUTIONS.items():
        renames[f'{theirs}.0'] = f'{ours}.conv'
        renames[f'{theirs}.1'] = f'{ours}.bn'
    for stage in range(num_stages):
        for theirs, ours in STAGE.items():
            renames[f'module_list.{stage}.{theirs}'] = f'attentions.{stage}.{ours}'
    return KeyTable(renames), KeyTable({other: classifier})

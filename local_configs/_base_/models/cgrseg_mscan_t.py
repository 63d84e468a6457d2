_base_ = './cgrseg_t.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='MSCAN',
        init_cfg=dict(type='Pretrained', checkpoint='ckpt/mscan_t_20230227-119e8c9f.pth'),
        in_channels=3,
        embed_dims=[32, 64, 160, 256],
        mlp_ratios=[8, 8, 4, 4],
        drop_rate=0.0,
        drop_path_rate=0.1,
        depths=[3, 3, 5, 2],
        attention_kernel_sizes=[5, [1, 7], [1, 11], [1, 21]],
        attention_kernel_paddings=[2, [0, 3], [0, 5], [0, 10]],
        act_cfg=dict(type='GELU'),
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
    decode_head=dict(in_channels=[64, 160, 256]),
)

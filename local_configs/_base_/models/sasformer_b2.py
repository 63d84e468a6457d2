_base_ = './sasformer_b0.py'

model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='ckpt/mit_b2_20220624-66e8bf70.pth'),
        embed_dims=64,
        num_layers=[3, 4, 6, 3],
    ),
    decode_head=dict(in_channels=[64, 128, 320, 512]),
)

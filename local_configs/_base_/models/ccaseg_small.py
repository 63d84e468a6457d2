_base_ = './ccaseg_tiny.py'

model = dict(
    backbone=dict(
        init_cfg=dict(checkpoint='ckpt/mscan_s_20230227-f33ccdf2.pth'),
        embed_dims=[64, 128, 320, 512],
        depths=[2, 2, 4, 2],
    ),
    decode_head=dict(in_channels=[128, 320, 512], num_blocks=3),
)

_base_ = './pcaa_r50.py'

model = dict(
    backbone=dict(init_cfg=dict(checkpoint='open-mmlab://resnet101_v1c'), depth=101),
)

# CamVid on two CPU cores: small crops
_base_ = [
    '../../_base_/models/sasformer_b0.py',
    '../../_base_/datasets/camvid_192x256.py',
    '../../_base_/schedules/schedule_1k_adamw_scratch.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=(192, 256)),
    backbone=dict(init_cfg=None),
    decode_head=dict(num_classes=11),
)

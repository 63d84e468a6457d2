_base_ = [
    '../../_base_/models/sasformer_b0.py',
    '../../_base_/datasets/camvid.py',
    '../../_base_/schedules/schedule_20k_adamw_scratch.py',
    '../../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=8)
model = dict(
    data_preprocessor=dict(size=(360, 480)),
    backbone=dict(init_cfg=None),
    decode_head=dict(num_classes=11),
)

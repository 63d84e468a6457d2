# Ours, not released: the recipe of `small` on the encoder of SegNeXt-B.
_base_ = [
    '../../_base_/models/ccaseg_base.py',
    '../../_base_/datasets/ade20k.py',
    '../../_base_/schedules/schedule_160k_adamw.py',
    '../../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=8)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    decode_head=dict(channels=256, num_classes=150),
)

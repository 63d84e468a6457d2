_base_ = [
    '../../_base_/models/ccaseg_tiny.py',
    '../../_base_/datasets/coco-stuff164k.py',
    '../../_base_/schedules/schedule_80k_adamw.py',
    '../../_base_/default_runtime.py',
]

randomness = dict(seed=2050920549)
train_dataloader = dict(batch_size=8)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    # As released. The data set has 171 classes: the last output never has a label.
    decode_head=dict(num_classes=172),
)

_base_ = [
    '../../_base_/models/ccsnet_b1.py',
    '../../_base_/datasets/ade20k.py',
    '../../_base_/schedules/schedule_160k_adamw.py',
    '../../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=2)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
)
default_hooks = dict(checkpoint=dict(interval=4000))

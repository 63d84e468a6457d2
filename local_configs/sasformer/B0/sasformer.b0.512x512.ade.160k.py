_base_ = [
    '../../_base_/models/sasformer_b0.py',
    '../../_base_/datasets/ade20k.py',
    '../../_base_/schedules/schedule_160k_adamw.py',
    '../../_base_/default_runtime.py',
]

randomness = dict(seed=413454386)
train_dataloader = dict(batch_size=8)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    decode_head=dict(num_classes=150),
)

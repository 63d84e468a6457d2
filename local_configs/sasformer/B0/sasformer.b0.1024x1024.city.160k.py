_base_ = [
    '../../_base_/models/sasformer_b0.py',
    '../../_base_/datasets/cityscapes_1024x1024.py',
    '../../_base_/schedules/schedule_160k_adamw.py',
    '../../_base_/default_runtime.py',
]

randomness = dict(seed=601446661)
train_dataloader = dict(batch_size=4)
model = dict(
    data_preprocessor=dict(size=(1024, 1024)),
    decode_head=dict(num_classes=19),
    test_cfg=dict(mode='slide', crop_size=(1024, 1024), stride=(768, 768)),
)

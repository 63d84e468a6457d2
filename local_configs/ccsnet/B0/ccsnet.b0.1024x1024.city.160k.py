_base_ = [
    '../../_base_/models/ccsnet_b0.py',
    '../../_base_/datasets/cityscapes_1024x1024.py',
    '../../_base_/schedules/schedule_160k_adamw.py',
    '../../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=1)
model = dict(
    data_preprocessor=dict(size=(1024, 1024)),
    decode_head=[dict(stage, num_classes=19) for stage in _base_.model.decode_head],
    test_cfg=dict(mode='slide', crop_size=(1024, 1024), stride=(768, 768)),
)

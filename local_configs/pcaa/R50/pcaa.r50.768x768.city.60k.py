_base_ = [
    '../../_base_/models/pcaa_r50.py',
    '../../_base_/datasets/cityscapes_768x768.py',
    '../../_base_/schedules/schedule_60k_sgd.py',
    '../../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=2)  # on 4 GPUs
model = dict(
    data_preprocessor=dict(size=(768, 768)),
    decode_head=dict(num_classes=19),
    auxiliary_head=dict(num_classes=19),
    test_cfg=dict(mode='slide', crop_size=(768, 768), stride=(512, 512)),
)

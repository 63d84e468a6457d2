_base_ = [
    '../../_base_/models/ccsnet_b1.py',
    'mmseg::_base_/datasets/drive.py',
    '../../_base_/schedules/schedule_80k_adamw.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=(64, 64)),
    decode_head=[dict(stage, num_classes=2) for stage in _base_.model.decode_head],
    test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(42, 42)),
)

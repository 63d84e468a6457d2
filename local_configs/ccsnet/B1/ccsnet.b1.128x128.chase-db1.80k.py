_base_ = [
    '../../_base_/models/ccsnet_b1.py',
    'mmseg::_base_/datasets/chase_db1.py',
    '../../_base_/schedules/schedule_80k_adamw.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=(128, 128)),
    decode_head=[dict(stage, num_classes=2) for stage in _base_.model.decode_head],
    test_cfg=dict(mode='slide', crop_size=(128, 128), stride=(85, 85)),
)

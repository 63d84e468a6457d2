_base_ = [
    '../../_base_/models/ccsnet_b1.py',
    'mmseg::_base_/datasets/pascal_context.py',
    '../../_base_/schedules/schedule_80k_adamw.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=(480, 480)),
    decode_head=[dict(stage, num_classes=60) for stage in _base_.model.decode_head],
)

_base_ = './cgrseg_t.py'

model = dict(
    backbone=dict(arch='L', init_cfg=dict(type='Pretrained', checkpoint='ckpt/eformer_l_450.pth')),
    decode_head=dict(in_channels=[80, 192, 384], channels=256, context_strip_size=9, strip_size=9),
)

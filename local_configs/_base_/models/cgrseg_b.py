_base_ = './cgrseg_t.py'

model = dict(
    backbone=dict(
        arch='S2', init_cfg=dict(type='Pretrained', checkpoint='ckpt/eformer_s2_450.pth')
    ),
    # Six context blocks, as released. The paper's 18.1 M parameters are those of five.
    decode_head=dict(in_channels=[64, 144, 288], channels=256, num_context_blocks=6),
)

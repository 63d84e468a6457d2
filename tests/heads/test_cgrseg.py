"""CGRSeg computes, costs and is trained as released."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from golden import assert_matches, features, labels, load_case, released_state
from head_cases import HEADS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

CONFIGS = Path(__file__).resolve().parents[2] / 'local_configs' / 'cgrseg'
T = dict(in_channels=[48, 120, 224], channels=128)
B = dict(in_channels=[64, 144, 288], channels=256, num_context_blocks=6)
L = dict(in_channels=[80, 192, 384], channels=256, strip_size=9, context_strip_size=9)
GOLDEN_VARIANTS = {
    'cgrseg-t-150': T,
    'cgrseg-l-150': L,
    'cgrseg-t-21-odd': T,
    'cgrseg-t-19-256x384': T,
}


def build(variant: dict, num_classes: int = 150, **arguments: object) -> nn.Module:
    cfg = dict(type='CGRSegHead', in_index=[1, 2, 3], num_classes=num_classes)
    return MODELS.build({**cfg, **variant, **arguments})


def build_golden(name: str) -> tuple[dict, nn.Module]:
    case = load_case(name)
    loss = dict(type='UpsampledCrossEntropyLoss')  # as in the configs
    head = build(GOLDEN_VARIANTS[name], case['num_classes'], dropout_ratio=0, loss_decode=loss)
    head.load_state_dict(released_state(head, head.released_keys.released_key))
    return case, head


@pytest.mark.parametrize('name', GOLDEN_VARIANTS)
def test_evaluation_matches_the_release(name: str) -> None:
    case, head = build_golden(name)
    inner = {}
    head.context_blocks.register_forward_hook(lambda *call: inner.update(context=call[-1]))
    head.guidance.register_forward_hook(lambda *call: inner.update(gate=call[-1]))
    with torch.no_grad():
        logits = head.eval()(features(case['input_shapes']))
    assert_matches(case, 'eval_logits', logits, atol=1e-5)
    assert_matches(case, 'eval_context', inner['context'], atol=2e-5)
    assert_matches(case, 'eval_gate', inner['gate'].flatten(1), atol=1e-5)


@pytest.mark.parametrize('name', GOLDEN_VARIANTS)
def test_training_matches_the_release(name: str) -> None:
    case, head = build_golden(name)
    expected = case['train']
    logits = head.train()(features(case['input_shapes']))
    assert_matches(case, 'train_logits', logits, atol=1e-5)

    label = labels(case['label_shape'], case['num_classes'])
    targets = [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in label]
    loss = head.loss_by_feat(logits, targets)['loss_ce']
    assert loss.item() == pytest.approx(expected['loss'], abs=1e-5)

    loss.backward()
    released = head.released_keys.released_key
    norms = {released(key): p.grad.norm().item() for key, p in head.named_parameters()}
    assert norms == pytest.approx(expected['grad_l2'], rel=1e-3, abs=1e-7)
    statistics = {
        released(key): buffer.norm().item()
        for key, buffer in head.named_buffers()
        if 'running' in key
    }
    assert statistics == pytest.approx(expected['running_stats_l2_after_one_step'], rel=1e-5)


def test_every_argument_shapes_the_released_tensors() -> None:
    head = build(
        dict(in_channels=[16, 24, 40], channels=32),
        num_classes=5,
        num_context_blocks=2,
        context_strip_size=5,
        strip_size=7,
        square_size=5,
        strip_reduction=2,
        mlp_ratio=3,
        depthwise_embedding=False,
    )
    released = head.released_keys.released_key
    shapes = {released(key): tuple(t.shape) for key, t in head.state_dict().items()}
    context, level = 'trans.transformer_blocks.1', 'meta.2'
    expected = {
        f'{context}.gamma': (80,),
        f'{context}.token_mixer.dwconv_hw.weight': (80, 1, 5, 5),
        f'{context}.token_mixer.excite.0.weight': (80, 1, 1, 5),
        f'{context}.token_mixer.excite.3.weight': (80, 1, 5, 1),
        f'{context}.mlp.fc1.weight': (240, 80, 1, 1),
        f'{level}.token_mixer.dwconv_hw.weight': (40, 1, 5, 5),
        f'{level}.token_mixer.excite.0.weight': (20, 2, 1, 7),
        f'{level}.token_mixer.excite.1.weight': (20,),
        f'{level}.token_mixer.excite.3.weight': (40, 1, 7, 1),
        f'{level}.mlp.fc2.weight': (40, 120, 1, 1),
        'linear_fuse.conv.weight': (32, 32, 1, 1),
        'conv.1.weight': (24, 32, 1, 1),
        'SIM.2.fuse2.conv.weight': (32, 40, 1, 1),
        'lgc.channel_mul_conv.1.weight': (32, 1, 1),
    }
    assert {key: shapes.get(key) for key in expected} == expected
    assert 'trans.transformer_blocks.2.gamma' not in shapes


@pytest.mark.parametrize(
    ('variant', 'parameters'),
    [
        (T, (19_350, 384, 3_155_600, 101_888, 283_984, 21_672, 33_409)),
        (B, (38_550, 768, 6_029_376, 257_024, 451_936, 53_456, 132_353)),
        (L, (38_550, 768, 8_731_360, 338_944, 787_808, 69_904, 132_353)),
    ],
    ids=['T', 'B', 'L'],
)
def test_parts_have_the_released_parameters(variant: dict, parameters: tuple[int, ...]) -> None:
    head = build(variant)
    parts = [
        *(head.conv_seg, head.coarse_embedding, head.context_blocks),
        *(head.fusions, head.reconstructions, head.top_down, head.guidance),
    ]
    assert tuple(sum(p.numel() for p in part.parameters()) for part in parts) == parameters
    assert sum(p.numel() for p in head.parameters()) == sum(parameters)


@pytest.mark.parametrize(
    ('config', 'parameters', 'macs'),
    [
        ('cgrseg-t_ade20k_160k.py', 9_364_647, 4_527_215_616),
        ('cgrseg-b_ade20k_160k.py', 19_114_871, 8_589_358_080),
        ('cgrseg-l_ade20k_160k.py', 35_677_703, 16_120_375_296),
    ],
)
def test_costs_a_little_less_than_the_release(config: str, parameters: int, macs: int) -> None:
    """Multiply-accumulates of convolutions and matrix products, for an image of 512x512."""
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromfile(CONFIGS / config).model)
    assert sum(p.numel() for p in model.parameters()) == parameters
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 512, 512))
    assert 0.98 < counter.get_total_flops() / (2 * macs) < 1


def test_starts_like_the_release() -> None:
    torch.manual_seed(0)
    head = build(T, dropout_ratio=0)
    head.init_weights()
    assert head.conv_seg.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert head.conv_seg.bias.abs().max() == 0
    he = (2 / 128) ** 0.5
    assert head.coarse_embedding.conv.weight.std().item() == pytest.approx(he, rel=0.2)
    assert head.fusions[2].local.conv.weight.std().item() == pytest.approx(he, rel=0.05)
    assert head.guidance.conv_mask.weight.std().item() == pytest.approx(he, rel=0.2)
    # PyTorch's default: uniform within 1 / sqrt(fan_in), so with a third of its square as variance.
    default = (3 * 392) ** -0.5
    mlp = head.context_blocks[0].mlp[0]
    assert mlp.weight.std().item() == pytest.approx(default, rel=0.05)
    assert mlp.bias.abs().max() > 0
    assert all(torch.all(block.gamma == 1e-6) for block in head.reconstructions)

    gates, classified = [], []
    head.guidance.register_forward_hook(lambda *call: gates.append(call[-1]))
    head.fusions[0].register_forward_hook(lambda *call: classified.append(1.5 * call[-1]))
    logits = head.eval()(features([(1, 8, 16, 16), (1, 48, 8, 8), (1, 120, 4, 4), (1, 224, 2, 2)]))
    assert torch.all(gates[0] == 0.5)
    torch.testing.assert_close(logits, head.conv_seg(classified[0]))


def test_both_classifications_have_dropout_of_their_own() -> None:
    head = HEADS['cgrseg'].build(dropout_ratio=0.5).train()
    masks = []
    head.dropout.register_forward_hook(lambda *call: masks.append((call[-1] == 0).all(-1).all(-1)))
    head(HEADS['cgrseg'].inputs(4, 96, 96))
    assert len(masks) == 2
    assert not torch.equal(*masks)


def test_the_stride_4_map_is_not_read() -> None:
    case = HEADS['cgrseg']
    head, inputs = case.build().eval(), case.inputs(1, 64, 64)
    other = [torch.full_like(inputs[0], float('nan')), *inputs[1:]]
    assert torch.equal(head(inputs), head(other))


def test_explains_that_one_pixel_has_no_statistics() -> None:
    case = HEADS['cgrseg']
    with pytest.raises(ValueError, match='a larger crop or batch'):
        case.build().train()(case.inputs(1, 64, 64))
    case.build().train()(case.inputs(2, 64, 64))
    case.build(norm_cfg=dict(type='GN', num_groups=2)).train()(case.inputs(1, 64, 64))


class TestRecipe:
    """The authors' training: every parameter, the learning rate over time, the images."""

    # Parameter tensors per (learning rate, weight decay), and their elements in variant T.
    T_TENSORS = {(1.2e-3, 0.01): 155 + 16, (1.2e-4, 0.0): 130, (1.2e-4, 0.01): 282}
    T_ELEMENTS = {
        (1.2e-3, 0.01): 3_616_287 + 576,
        (1.2e-4, 0.0): 44_576,
        (1.2e-4, 0.01): 5_703_208,
    }
    TALKING_HEADS = {'t': 16, 'b': 32, 'l': 48}

    @pytest.mark.parametrize('variant', 'tbl')
    def test_every_parameter_is_trained_as_released(self, variant: str) -> None:
        config = Config.fromfile(CONFIGS / f'cgrseg-{variant}_ade20k_160k.py')
        init_default_scope(config.default_scope)
        model = MODELS.build(config.model)
        # As a plain dict: PyTorch reads the hundreds of groups quadratically often.
        wrapper = build_optim_wrapper(model, config.optim_wrapper.to_dict())
        settings = {
            id(parameter): (pytest.approx(group['lr'], rel=1e-12), group['weight_decay'])
            for group in wrapper.optimizer.param_groups
            for parameter in group['params']
        }
        wrong = [
            name
            for name, parameter in model.named_parameters()
            if settings[id(parameter)] != self._released_rule(model, name)
        ]
        assert not wrong
        names = [self._released_name(model, name) for name, _ in model.named_parameters()]
        assert sum('talking_head' in name for name in names) == self.TALKING_HEADS[variant]
        if variant == 't':
            tensors, elements = Counter(), Counter()
            for name, parameter in model.named_parameters():
                rule = self._released_rule(model, name)
                tensors[rule] += 1
                elements[rule] += parameter.numel()
            assert tensors == self.T_TENSORS
            assert elements == self.T_ELEMENTS

    def _released_rule(self, model: nn.Module, name: str) -> tuple[float, float]:
        released = self._released_name(model, name)
        if 'head' in released:
            return 1.2e-3, 0.01
        return (1.2e-4, 0.0) if 'norm' in released else (1.2e-4, 0.01)

    def _released_name(self, model: nn.Module, name: str) -> str:
        part, _, rest = name.partition('.')
        return f'{part}.{getattr(model, part).released_keys.released_key(rest)}'

    @pytest.mark.parametrize(
        ('config', 'iterations'),
        [('cgrseg-t_ade20k_160k.py', 160_000), ('cgrseg-t_coco-stuff10k_80k.py', 80_000)],
    )
    def test_learning_rate_over_time(self, config: str, iterations: int) -> None:
        config = Config.fromfile(CONFIGS / config)
        assert config.train_cfg.max_iters == iterations
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.2e-4)
        schedulers = [
            PARAM_SCHEDULERS.build(scheduler, default_args=dict(optimizer=optimizer))
            for scheduler in config.param_scheduler
        ]
        for t in range(3000):
            # MMEngine's schedules reach their ends one iteration earlier than MMCV's did.
            warm_up = 1 - max(1 - t / 1499, 0) * (1 - 1e-6)
            expected = 1.2e-4 * (1 - t / (iterations - 1)) * warm_up
            assert optimizer.param_groups[0]['lr'] == pytest.approx(expected, rel=1e-6), t
            optimizer.step()
            for scheduler in schedulers:
                scheduler.step()

    @pytest.mark.parametrize('variant', 'tbl')
    def test_images_are_prepared_as_released(self, variant: str) -> None:
        config = Config.fromfile(CONFIGS / f'cgrseg-{variant}_ade20k_160k.py')
        train, test = config.train_dataloader.dataset, config.test_dataloader.dataset
        _, _, resize, crop, flip, _, _ = train.pipeline
        assert (resize.scale, resize.ratio_range) == ((2048, 512), (0.5, 2.0))
        assert (crop.crop_size, crop.cat_max_ratio, flip.prob) == ((512, 512), 0.75, 0.5)
        assert [t.type for t in test.pipeline][1:-2] == ['Resize']
        assert (test.pipeline[1].scale, test.pipeline[1].keep_ratio) == ((2048, 512), True)
        assert train.reduce_zero_label and test.reduce_zero_label
        assert config.model.data_preprocessor.test_cfg == dict(size_divisor=32)
        assert config.model.test_cfg == dict(mode='whole')
        assert config.train_dataloader.batch_size == 4
        assert config.train_cfg.val_interval == 4000

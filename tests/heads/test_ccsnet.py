"""CCSNet computes what its released code computes, and runs where that does not."""

import itertools
from pathlib import Path

import pytest
import torch
from golden import assert_matches, features, fill, labels, load_case
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn import functional as F

CONFIGS = Path(__file__).resolve().parents[2] / 'local_configs' / 'ccsnet'
RELEASED_CONFIG = 'B1/ccsnet.b1.512x512.ade.160k.py'
WIDTHS = (8, 12, 16, 20)


def build(num_classes: int = 6, **arguments: object) -> nn.Module:
    """Build a head with reproducible weights; a small one by default."""
    torch.manual_seed(0)
    cfg = dict(type='CCSNetHead', in_channels=WIDTHS, channels=16, num_classes=num_classes)
    head = MODELS.build({**cfg, **arguments})
    head.init_weights()
    return head


def small_inputs(height: int, width: int, num_classes: int = 6) -> tuple[list[Tensor], Tensor]:
    """Draw the feature maps of two images, and coarse logits."""
    sizes = [(-(-height // stride), -(-width // stride)) for stride in (4, 8, 16, 32)]
    maps = features([(2, channels, *size) for channels, size in zip(WIDTHS, sizes, strict=True)])
    return maps, features([(2, num_classes, *sizes[2])], tag='prev')[0]


# --- The release -------------------------------------------------------------------------------


def golden_head_and_inputs() -> tuple[dict, nn.Module, list[Tensor], Tensor]:
    case = load_case('ccsnet-b1-150')
    widths = case['constructor']['in_channels']
    loss = dict(type='UpsampledCrossEntropyLoss')  # as in the configs
    head = build(150, in_channels=widths, channels=256, dropout_ratio=0, loss_decode=loss)
    released_key = head.released_keys.released_key
    shapes = {released_key(key): value.shape for key, value in head.state_dict().items()}
    # The release also has a classifier, of `channels` 128, that it never calls.
    state = fill({**shapes, 'conv_seg.weight': (150, 128, 1, 1), 'conv_seg.bias': (150,)})
    head.load_state_dict(state, strict=True)
    coarse_logits = features([case['prev_output_shape']], tag=case['prev_output_tag'])[0]
    return case, head, features(case['input_shapes'], tag=case['input_tag']), coarse_logits


def losses(head: nn.Module, case: dict, logits: Tensor) -> dict[str, Tensor]:
    label = labels(case['label_shape'], 150)
    targets = [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in label]
    return head.loss_by_feat(logits, targets)


def assert_losses_match(actual: dict[str, Tensor], expected: dict[str, float]) -> None:
    assert actual['loss_ce'].item() == pytest.approx(expected['loss_ce'], rel=1e-5)
    assert actual['acc_seg'].item() == pytest.approx(expected['acc_seg'], rel=1e-5)


def test_evaluation_matches_the_release() -> None:
    case, head, inputs, coarse_logits = golden_head_and_inputs()
    with torch.no_grad():
        logits = head.eval()(inputs, coarse_logits)
    assert_matches(case, 'eval_logits', logits[:1], atol=5e-5)
    assert logits.norm().item() == pytest.approx(case['eval']['logits']['l2'], rel=1e-5)
    assert_losses_match(losses(head, case, logits), case['eval']['losses'])


def test_training_matches_the_release() -> None:
    case, head, inputs, coarse_logits = golden_head_and_inputs()
    inputs = [x.requires_grad_() for x in inputs]
    coarse_logits.requires_grad_()
    logits = head.train()(inputs, coarse_logits)
    assert_matches(case, 'train_logits', logits[:, :, ::2, ::2], atol=5e-5)

    actual = losses(head, case, logits)
    assert_losses_match(actual, case['train']['losses'])

    actual['loss_ce'].backward()
    for key, parameter in head.named_parameters():
        released = head.released_keys.released_key(key)
        norm, expected = parameter.grad.norm().item(), case['train']['grad_norms'][released]
        if released == 'k_proj.bias':  # shifts all scores of a pixel alike: rounding noise
            assert norm < 1e-5
        else:
            assert norm == pytest.approx(expected, rel=1e-3), key
    expected = case['train']['input_grad_norms'].values()
    norms = [x.grad.norm().item() for x in (*inputs, coarse_logits)]
    assert norms == pytest.approx([*expected], rel=1e-3)

    for key, buffer in head.named_buffers():
        released = head.released_keys.released_key(key)
        expected = case['train']['buffer_norms_after_forward'][released]
        assert buffer.float().norm().item() == pytest.approx(expected, rel=1e-5), key


@pytest.mark.parametrize(
    ('widths', 'num_classes', 'parameters'),
    [
        ([64, 128, 320, 512], 150, 1_110_316),
        ([32, 64, 160, 256], 150, 848_172),
        ([32, 64, 160, 256], 59, 813_046),
    ],
)
def test_has_the_live_parameters_of_the_release(
    widths: list[int], num_classes: int, parameters: int
) -> None:
    head = build(num_classes, in_channels=widths, channels=256)
    dead_classifier = num_classes * (128 + 1)
    assert sum(p.numel() for p in head.parameters()) == parameters - dead_classifier


def test_starts_like_the_release() -> None:
    head = build(150, in_channels=[64, 128, 320, 512], channels=256)
    # PyTorch's default: uniform within 1 / sqrt(fan_in), so with a third of its square as variance.
    for conv in (head.conv_seg, head.class_centres.key_proj, head.attentions[1].query_proj):
        assert conv.weight.std().item() == pytest.approx((3 * conv.in_channels) ** -0.5, rel=0.05)
        assert conv.bias.abs().max() > 0
    # Kaiming normal over the outputs.
    for conv in (head.fuse.conv, head.attentions[0].out_proj.conv):
        assert conv.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.05)


@pytest.fixture(scope='module')
def released_model() -> tuple[nn.Module, Config]:
    """The network of the released config, with its names."""
    config = Config.fromfile(CONFIGS / RELEASED_CONFIG)
    init_default_scope(config.default_scope)
    config.model.backbone.init_cfg = None
    return MODELS.build(config.model), config


def released_name(model: nn.Module, name: str) -> str:
    prefix = 'decode_head.1.'
    if not name.startswith(prefix):
        return name
    return prefix + model.decode_head[1].released_keys.released_key(name.removeprefix(prefix))


def test_the_whole_released_checkpoint_loads(released_model: tuple[nn.Module, Config]) -> None:
    model, _ = released_model
    state = {key: torch.full_like(value, 0.5) for key, value in model.state_dict().items()}
    released = {released_name(model, key): value for key, value in state.items()}
    assert 'decode_head.1.object_context_block_c1.out_proj.bn.running_mean' in released
    released['decode_head.1.conv_seg.weight'] = torch.zeros(150, 128, 1, 1)
    released['decode_head.1.conv_seg.bias'] = torch.zeros(150)
    model.load_state_dict(released, strict=True)
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_every_parameter_is_trained_as_released(released_model: tuple[nn.Module, Config]) -> None:
    model, config = released_model
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    settings = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    for name, parameter in model.named_parameters():
        released = released_name(model, name)
        if 'head' in released:
            expected = (6e-4, 0.01)
        else:
            expected = (6e-5, 0.0 if 'norm' in released else 0.01)
        assert settings[id(parameter)] == pytest.approx(expected), name


def test_recipe_is_the_released_one() -> None:
    config = Config.fromfile(CONFIGS / RELEASED_CONFIG)
    coarse, fine = config.model.decode_head
    assert (coarse.in_channels, coarse.in_index, coarse.channels) == (320, 2, 256)
    assert (coarse.num_convs, coarse.concat_input) == (1, False)
    assert (fine.in_channels, fine.channels, fine.top_k) == ([64, 128, 320, 512], 256, 20)
    assert [stage.dropout_ratio for stage in (coarse, fine)] == [0.1, 0.1]
    assert [stage.loss_decode.loss_weight for stage in (coarse, fine)] == [0.4, 1.0]
    assert (config.train_dataloader.batch_size, config.train_dataloader.num_workers) == (2, 4)
    assert config.train_cfg.max_iters == 160000
    assert config.train_cfg.val_interval == 16000
    assert config.default_hooks.checkpoint.interval == 4000
    assert config.model.test_cfg == dict(mode='whole')
    resizing = [transform.type for transform in config.test_dataloader.dataset.pipeline[1:3]]
    assert resizing == ['Resize', 'ResizeToMultiple']


# --- Beyond the release ------------------------------------------------------------------------


@pytest.mark.parametrize(('height', 'width'), [(64, 96), (100, 116), (33, 61)])
def test_each_pixel_attends_to_the_classes_of_its_cell(height: int, width: int) -> None:
    """The definition, pixel by pixel and in the released order of operations."""
    head = build(top_k=3, dropout_ratio=0).eval().double()
    maps, coarse_logits = small_inputs(height, width)
    maps, coarse_logits = [x.double() for x in maps], coarse_logits.double()
    rows, columns = coarse_logits.shape[2:]

    weights = F.interpolate(coarse_logits, maps[3].shape[2:], mode='bilinear').flatten(2).softmax(2)
    centres = torch.einsum('bnp,bcp->bcn', weights, maps[3].flatten(2)).unsqueeze(3)
    keys = head.class_centres.key_proj(centres).squeeze(3)
    values = head.class_centres.value_proj(centres).squeeze(3)

    levels = []
    for attention, x in zip(head.attentions, maps, strict=True):
        query = attention.query_proj(x)
        if x is maps[3]:
            query = F.interpolate(query, (rows, columns), mode='bilinear')
        attended = torch.empty_like(query)
        extent = query.shape[2:]
        for image, y, x in itertools.product(range(2), range(extent[0]), range(extent[1])):
            cell = coarse_logits[image, :, y * rows // extent[0], x * columns // extent[1]]
            chosen = cell.argsort(descending=True)[:3]
            scores = query[image, :, y, x] @ keys[image][:, chosen] / 16**0.5
            attended[image, :, y, x] = values[image][:, chosen] @ scores.softmax(0)
        levels.append(attention.out_proj(attended) + query)
    size = maps[0].shape[2:]
    levels = [F.interpolate(x, size, mode='bilinear') for x in reversed(levels)]
    expected = head.conv_seg(head.fuse(torch.cat(levels, dim=1)))

    torch.testing.assert_close(head(maps, coarse_logits), expected, rtol=1e-9, atol=1e-9)


def test_attends_to_all_classes_where_there_are_fewer_than_top_k() -> None:
    maps, coarse_logits = small_inputs(64, 64)
    every, four = build().eval(), build(top_k=4).eval()
    assert (every.top_k, four.top_k) == (6, 4)
    assert torch.equal(every(maps, coarse_logits), build(top_k=6).eval()(maps, coarse_logits))
    assert not torch.allclose(every(maps, coarse_logits), four(maps, coarse_logits), atol=1e-4)


def test_selects_by_rank_and_not_by_margin() -> None:
    """Coarse logits act through the selection and through the centres; here only the former."""
    maps, _ = small_inputs(64, 64)
    maps[3] = torch.ones_like(maps[3])  # one centre, whatever the weights
    head = build(top_k=1).eval()
    head.class_centres.key_proj.bias.data.zero_()
    coarse_logits = torch.zeros(2, 6, 4, 4)
    coarse_logits[:, 2] = 1e-3
    small = head(maps, coarse_logits)
    assert torch.equal(small, head(maps, coarse_logits * 1e6))
    assert head._select_classes(coarse_logits)[..., 2].all()


def test_trains_the_stage_before() -> None:
    maps, coarse_logits = small_inputs(64, 64)
    coarse_logits.requires_grad_()
    build().train()(maps, coarse_logits).square().mean().backward()
    assert coarse_logits.grad.abs().max() > 0


@pytest.mark.parametrize(
    ('shape', 'message'),
    [
        ((2, 6, 6, 4), 'have 6 classes and size 6x4, but must have 6 classes and .* last, 4x6'),
        ((2, 6, 8, 12), 'have 6 classes and size 8x12, but must have 6 classes and .* last, 4x6'),
        ((2, 5, 4, 6), 'have 5 classes and size 4x6, but must have 6 classes'),
    ],
    ids=['transposed', 'stride 8', 'classes'],
)
def test_refuses_coarse_logits_of_other_features(shape: tuple[int, ...], message: str) -> None:
    maps, _ = small_inputs(64, 96)
    with pytest.raises(ValueError, match=message):
        build()(maps, torch.zeros(shape))


def test_trains_and_predicts_behind_its_coarse_stage() -> None:
    """Sizes and class counts at which the released head fails."""
    torch.manual_seed(0)
    norm_cfg = dict(type='BN')
    config = Config.fromfile(CONFIGS / RELEASED_CONFIG)
    init_default_scope(config.default_scope)
    config.model.data_preprocessor = None
    config.model.backbone = dict(type='ResNetV1c', depth=18, base_channels=4, norm_cfg=norm_cfg)
    for stage, in_channels in zip(config.model.decode_head, (16, [4, 8, 16, 32]), strict=True):
        stage.update(in_channels=in_channels, channels=8, num_classes=3, norm_cfg=norm_cfg)
    model = MODELS.build(config.model)
    label = torch.randint(0, 3, (2, 1, 100, 75))
    targets = [
        SegDataSample(gt_sem_seg=PixelData(data=one), metainfo=dict(img_shape=(100, 75)))
        for one in label
    ]
    images = torch.randn(2, 3, 100, 75)
    losses = model.loss(images, targets)
    assert set(losses) == {
        'decode_0.loss_ce',
        'decode_0.acc_seg',
        'decode_1.loss_ce',
        'decode_1.acc_seg',
    }
    (losses['decode_0.loss_ce'] + losses['decode_1.loss_ce']).backward()
    assert all(p.grad is not None for p in model.decode_head.parameters())

    model.eval()
    with torch.no_grad():
        predictions = model.predict(images)
    assert predictions[0].pred_sem_seg.data.shape == (1, 100, 75)

"""PCAA computes what its released code computes, and takes sizes that the release does not."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from golden import assert_matches, features, fill, labels, load_case, released_state
from head_cases import HEADS
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmengine.structures import PixelData
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

CONFIGS = Path(__file__).resolve().parents[2] / 'local_configs' / 'pcaa'
CASES = {'pcaa-r50-19': (2048, 19), 'pcaa-small-150': (256, 150)}
# Their gradients are zero in exact arithmetic: a shift of all scores of a query, and a constant
# before a norm.
NO_EFFECT = ('proj_key.bias', 'proj_value.bias')


def build(case: str) -> nn.Module:
    """Build the head of a golden case, with its weights and without dropout."""
    in_channels, num_classes = CASES[case]
    return with_golden_weights(
        dict(in_channels=in_channels, channels=512, num_classes=num_classes, bins=[(4, 4)])
    )


def with_golden_weights(arguments: dict) -> nn.Module:
    head = MODELS.build(dict(type='PCAAHead', in_index=0, cam_dropout_ratio=0, **arguments))
    head.load_state_dict(released_state(head, head.released_keys.released_key))
    return head


def label_map(case: dict, section: str) -> Tensor:
    """Draw the labels of a golden case; the section 'rare' adds specks of other classes."""
    shape, num_classes = case['label_shape'], case['num_classes']
    label = labels(shape, num_classes)
    if section == 'rare':
        speck = features([shape], tag='speck')[0] > 2.5
        label[speck] = labels(shape, num_classes, ignored=0.0, tag='rare')[speck]
    return label


def data_samples(label: Tensor) -> list[SegDataSample]:
    return [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in label]


def assert_gradients_match(module: nn.Module, expected: dict[str, float], released_key) -> None:
    for key, parameter in module.named_parameters():
        norm, released = parameter.grad.norm().item(), released_key(key)
        if released.endswith(NO_EFFECT):
            assert norm < 1e-5, key
        else:
            assert norm == pytest.approx(expected[released], rel=1e-3), key


@pytest.mark.parametrize(
    ('name', 'section'),
    [('pcaa-r50-19', 'train'), ('pcaa-small-150', 'train'), ('pcaa-small-150', 'rare')],
)
def test_training_matches_the_release(name: str, section: str) -> None:
    # In float64: in float32 the gradient of the region fusion's bias, one number in which nearly
    # everything cancels, differs by a percent from one CPU to the next.
    case, head = load_case(name), build(name).double().train()
    expected = case[section]
    (x,) = (x.double().requires_grad_() for x in features(case['input_shapes']))
    label = label_map(case, section)

    losses = head.loss([x], data_samples(label), None)
    assert losses['loss_ce'].item() == pytest.approx(expected['losses']['seg_loss'], rel=1e-6)
    assert losses['loss_cls'].item() == pytest.approx(expected['losses']['cls_loss'], rel=1e-6)

    present, judged = head.loss_region.targets(label, case['num_classes'], (4, 4))
    (counts,) = expected['region_labels']
    assert (present & judged).sum() == counts['positives']
    assert (~present & judged).sum() == counts['negatives']
    assert (~judged).sum() == counts['ignored']

    (losses['loss_ce'] + losses['loss_cls']).backward()
    assert_gradients_match(head, expected['grad_norms'], head.released_keys.released_key)
    input_norm = expected['input_grad_norms']['input0']
    assert x.grad.norm().item() == pytest.approx(input_norm, rel=1e-3)


@pytest.mark.parametrize('name', CASES)
def test_outputs_match_the_release(name: str) -> None:
    case, head = load_case(name), build(name)
    inputs = features(case['input_shapes'])
    for mode in ('eval', 'train'):
        head.train(mode == 'train')
        with torch.no_grad():
            logits, (region_logits,) = head._decode(inputs)
        assert_matches(case, f'{mode}_logits', logits, atol=5e-5)
        assert_matches(case, f'{mode}_cls0', region_logits.sigmoid(), atol=1e-5)

    for section in ('train', 'rare'):
        label, losses = label_map(case, section), case[section]['losses']
        loss_ce = head.loss_by_feat(logits, data_samples(label))['loss_ce']
        assert loss_ce.item() == pytest.approx(losses['seg_loss'], rel=1e-6)
        loss_cls = head.loss_region(region_logits, label)
        assert loss_cls.item() == pytest.approx(losses['cls_loss'], rel=1e-6)
        full_size = resize(logits, label.shape[1:], mode='bilinear', align_corners=False)
        for expected in case[section]['seg_loss_with_ohem']:
            loss = MODELS.build(
                dict(
                    type='OHEMCrossEntropyLoss',
                    thresh=expected['thresh'],
                    min_kept=expected['min_kept'],
                )
            )
            assert loss(full_size, label).item() == pytest.approx(expected['seg_loss'], rel=1e-6)


def test_stages_with_other_bins_match_the_release() -> None:
    """The losses are the authors', for two stages and with their dropout layer in place."""
    head = with_golden_weights(
        dict(
            in_channels=128,
            channels=64,
            num_classes=19,
            bins=[(2, 4), (4, 2)],
            dropout_ratio=1e-12,
        )
    ).train()
    assert sum(p.numel() for p in head.parameters()) == 250_443
    label = labels((2, 128, 192), 19)
    losses = head.loss(features([(2, 128, 16, 24)]), data_samples(label), None)
    assert losses['loss_ce'].item() == pytest.approx(3.123326, abs=1e-6)
    assert losses['loss_cls'].item() == pytest.approx(0.255032, abs=1e-6)


def test_auxiliary_branch_matches_the_release() -> None:
    case = load_case('pcaa-r50-19')
    expected = case['with_auxiliary']
    model = tiny_model(in_channels=1024, channels=256, num_classes=19)
    shapes = {
        'dsn.0.weight': (256, 1024, 3, 3),
        **{f'dsn.1.{name}': (256,) for name in ('weight', 'bias', 'running_mean', 'running_var')},
        'dsn.1.num_batches_tracked': (),
        'dsn.3.weight': (19, 256, 1, 1),
        'dsn.3.bias': (19,),
    }
    result = model.load_state_dict(fill(shapes), strict=False)
    assert not result.unexpected_keys
    auxiliary = model.auxiliary_head.train()
    auxiliary.in_index = 0

    (x,) = (x.requires_grad_() for x in features(expected['input_shapes'], tag='dsn'))
    losses = auxiliary.loss([x], data_samples(label_map(case, 'train')), None)
    unweighted = expected['train_losses']['aux_loss']
    assert losses['loss_ce'].item() == pytest.approx(0.4 * unweighted, rel=1e-6)
    losses['loss_ce'].backward()
    released = {'convs.0.conv': 'dsn.0', 'convs.0.bn': 'dsn.1', 'conv_seg': 'dsn.3'}
    for key, parameter in auxiliary.named_parameters():
        path, _, leaf = key.rpartition('.')
        norm = expected['grad_norms'][f'{released[path]}.{leaf}']
        assert parameter.grad.norm().item() == pytest.approx(norm, rel=2e-3), key


def in_each_region(attention: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Attend, written without gathering: a region is a slice of the map."""
    (height, width), (rows, columns) = x.shape[2:], attention.bins
    row_edges = [index * height // rows for index in range(rows + 1)]
    column_edges = [index * width // columns for index in range(columns + 1)]
    slices = [
        (..., slice(*row_edges[row : row + 2]), slice(*column_edges[column : column + 2]))
        for row in range(rows)
        for column in range(columns)
    ]
    cam = attention.class_activation(x)
    logits = torch.stack([cam[region].mean((2, 3)) for region in slices], 1)
    centers = torch.stack(
        [
            torch.einsum('bkq,bcq->bkc', cam[region].flatten(2).softmax(2), x[region].flatten(2))
            for region in slices
        ],
        1,
    )
    centers = centers * logits.sigmoid()[..., None]
    mixed = torch.einsum('rs,bskc->brkc', attention.region_mixing.weight[..., 0, 0], centers)
    centers = attention.channel_mixing((mixed + centers).relu())
    weights, bias = attention.region_fusion.weight.flatten(), attention.region_fusion.bias
    value = attention.value_proj((torch.einsum('r,brkc->bkc', weights, centers) + bias).relu())
    context = torch.zeros_like(x[:, : x.shape[1] // 2])
    for index, region in enumerate(slices):
        query = attention.query_proj(x[region].flatten(2).transpose(1, 2))
        key = attention.key_proj(centers[:, index])
        pixels = (query @ key.transpose(1, 2)).softmax(-1) @ value
        context[region] = pixels.transpose(1, 2).view_as(context[region])
    return x + attention.out_proj(context), logits.transpose(1, 2).unflatten(2, (rows, columns))


@pytest.mark.parametrize('bins', [(4, 4), (2, 3), (1, 5)])
@pytest.mark.parametrize('size', [(9, 11), (5, 6), (4, 5), (8, 15)])
def test_attends_in_regions_of_any_size(size: tuple[int, int], bins: tuple[int, int]) -> None:
    head = HEADS['pcaa'].build(bins=[bins]).double().eval()
    attention = head.attentions[0]
    x = torch.randn(2, 16, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for actual, expected in zip(attention(x), in_each_region(attention, x), strict=True):
            torch.testing.assert_close(actual, expected)


def test_names_the_smallest_image() -> None:
    head = HEADS['pcaa'].build()
    sample = data_samples(torch.zeros(1, 24, 40, dtype=torch.long))
    inputs = HEADS['pcaa'].inputs(1, 24, 40)
    message = r'features of 3x5 .* 4x4 regions; the smallest image is 25x25 .* stride 8'
    with pytest.raises(ValueError, match=message):
        head.loss(inputs, sample, None)
    with pytest.raises(ValueError, match=message):
        head.predict(inputs, [dict(img_shape=(24, 40))], None)
    with pytest.raises(ValueError, match=message):
        head(inputs)
    at_stride_32 = HEADS['pcaa'].build(in_index=3, in_channels=20)
    with pytest.raises(ValueError, match=r'the smallest image is 97x97 .* stride 32'):
        at_stride_32.predict(HEADS['pcaa'].inputs(1, 90, 70), [dict(img_shape=(90, 70))], None)
    # What it names is large enough, and nothing smaller is.
    with torch.no_grad():
        head.eval().predict(HEADS['pcaa'].inputs(1, 25, 25), [dict(img_shape=(25, 25))], None)


@pytest.mark.parametrize('loss', ['CrossEntropyLoss', 'OHEMCrossEntropyLoss'])
def test_trains_on_batches_without_labels(loss: str) -> None:
    options = dict(avg_non_ignore=True) if loss == 'CrossEntropyLoss' else {}
    head = HEADS['pcaa-stages'].build(loss_decode=dict(type=loss, **options)).train()
    sample = data_samples(torch.full((2, 64, 64), 255))
    losses = head.loss(HEADS['pcaa-stages'].inputs(2, 64, 64), sample, None)
    assert losses['loss_ce'] == 0
    assert losses['loss_cls'] > 0  # as released, classes are absent where nothing is labelled
    (losses['loss_ce'] + losses['loss_cls']).backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())


def test_judges_regions_in_full_precision_under_autocast() -> None:
    case = HEADS['pcaa']
    head = case.build().train()
    sample = data_samples(torch.randint(0, 5, (2, 64, 64)))
    inputs = case.inputs(2, 64, 64)
    with torch.autocast('cpu', torch.bfloat16):
        _, (region_logits,) = head._decode(inputs)
        losses = head.loss(inputs, sample, None)
    assert region_logits.dtype == losses['loss_cls'].dtype == torch.float32


def tiny_model(in_channels: int = 32, channels: int = 8, num_classes: int = 5) -> nn.Module:
    """Build a model with the structure of the R50 configs, whose auxiliary head is of any width."""
    config = Config.fromfile(CONFIGS / 'R50/pcaa.r50.768x768.city.60k.py').model
    init_default_scope('mmseg')
    config.type = 'EncoderDecoder'  # the lean one would compare the widths
    config.backbone.update(depth=18, base_channels=4, stem_channels=8, init_cfg=None)
    config.decode_head.update(in_channels=32, channels=8, num_classes=num_classes)
    config.auxiliary_head.update(
        in_channels=in_channels, channels=channels, num_classes=num_classes
    )
    return revert_sync_batchnorm(MODELS.build(config))


def released_names(model: nn.Module) -> dict[str, Tensor]:
    """Give a model's state dict the names of the release."""
    branch = {'convs.0.conv': '0', 'convs.0.bn': '1', 'conv_seg': '3'}
    released = {}
    for key, tensor in model.state_dict().items():
        part, _, rest = key.partition('.')
        if part == 'decode_head':
            key = f'head.{model.decode_head.released_keys.released_key(rest)}'
        elif part == 'auxiliary_head':
            path, _, leaf = rest.rpartition('.')
            key = f'dsn.{branch[path]}.{leaf}'
        released[f'module.{key}'] = tensor
    return released


@pytest.mark.parametrize('form', ['wrapped', 'unwrapped', 'with dropout', 'ours'])
def test_loads_whole_released_models(form: str, tmp_path: Path) -> None:
    model = tiny_model()
    state = model.state_dict()
    released = released_names(model)
    assert {'module.backbone.stem.0.weight', 'module.dsn.1.bias'} < set(released)
    assert 'module.head.module_list.0.gcn.conv1.weight' in released
    if form == 'unwrapped':
        released = {key.removeprefix('module.'): tensor for key, tensor in released.items()}
    elif form == 'with dropout':
        released = {
            key.replace('dsn.3', 'dsn.4').replace('conv_seg.3', 'conv_seg.4'): tensor
            for key, tensor in released.items()
        }
    elif form == 'ours':
        released = state

    torch.save(released, tmp_path / 'released.pth')
    by_pytorch, by_mmengine = tiny_model(), tiny_model()
    by_pytorch.load_state_dict(released, strict=True)
    load_checkpoint(by_mmengine, str(tmp_path / 'released.pth'), strict=True)
    for loaded in (by_pytorch, by_mmengine):
        assert all(torch.equal(tensor, state[key]) for key, tensor in loaded.state_dict().items())


def test_refuses_released_models_that_do_not_fit() -> None:
    model = tiny_model()
    released = released_names(model)
    lacking = {key: value for key, value in released.items() if key != 'module.dsn.3.bias'}
    with pytest.raises(RuntimeError, match='auxiliary_head.conv_seg.bias'):
        model.load_state_dict(lacking)
    with pytest.raises(RuntimeError, match='module.neck.weight'):
        model.load_state_dict({**released, 'module.neck.weight': torch.zeros(1)})


def test_models_of_other_heads_keep_their_names() -> None:
    model = nn.Module()
    model.decode_head, model.head = HEADS['ccaseg-mit'].build(), nn.Linear(2, 2)
    model.load_state_dict(model.state_dict(), strict=True)


def test_starts_like_the_release() -> None:
    model = tiny_model(in_channels=32, channels=64)
    model.init_weights()
    head = HEADS['pcaa'].build(channels=64)
    layers = [
        *(m for m in model.auxiliary_head.modules() if isinstance(m, nn.Conv2d)),
        *(m for m in head.modules() if isinstance(m, (nn.Conv2d, nn.Linear))),
    ]
    for layer in layers:
        # PyTorch's default: uniform within 1 / sqrt(fan_in), weights and biases alike.
        bound = layer.weight[0].numel() ** -0.5
        largest = layer.weight.abs().max().item()
        assert 0.8 * bound < largest <= bound
        assert layer.bias is None or 0 < layer.bias.abs().max() <= bound


@pytest.mark.parametrize(
    ('config', 'backbone', 'head', 'auxiliary'),
    [
        ('R50/pcaa.r50.768x768.city.60k', 23_527_264, 24_404_023, 2_364_691),
        ('R50/pcaa.r50.512x512.ade.150k', 23_527_264, 24_538_429, 2_398_358),
        ('R101/pcaa.r101.768x768.city.60k', 42_519_392, 24_404_023, 2_364_691),
        ('R101/pcaa.r101.512x512.ade.150k', 42_519_392, 24_538_429, 2_398_358),
    ],
)
def test_recipe_is_the_released_one(config: str, backbone: int, head: int, auxiliary: int) -> None:
    cfg = Config.fromfile(CONFIGS / f'{config}.py')
    init_default_scope('mmseg')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    parts = (model.backbone, model.decode_head, model.auxiliary_head)
    sizes = [sum(p.numel() for p in part.parameters()) for part in parts]
    assert sizes == [backbone, head, auxiliary]

    is_city = 'city' in config
    iterations = 60_000 if is_city else 150_000
    assert cfg.train_cfg.max_iters == iterations
    assert cfg.train_dataloader.batch_size * 4 == (8 if is_city else 16)
    assert cfg.param_scheduler == [
        dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=iterations, by_epoch=False)
    ]
    (group,) = build_optim_wrapper(model, cfg.optim_wrapper.to_dict()).optimizer.param_groups
    assert (group['lr'], group['momentum'], group['weight_decay']) == (0.01, 0.9, 1e-4)
    assert len(group['params']) == len(list(model.parameters()))

    crop = 768 if is_city else 512
    (random_crop,) = (t for t in cfg.train_dataloader.dataset.pipeline if 'crop_size' in t)
    assert random_crop.crop_size == cfg.model.data_preprocessor.size == (crop, crop)
    resizing = [t for t in cfg.test_dataloader.dataset.pipeline if 'Resize' in t.type]
    if is_city:
        assert cfg.model.test_cfg == dict(mode='slide', crop_size=(768, 768), stride=(512, 512))
    else:
        assert cfg.model.test_cfg == dict(mode='whole')
        assert resizing == [dict(type='ResizeToMultiple', size_divisor=32)]

    last_stage = [block.conv2.dilation[0] for block in model.backbone.layer4]
    assert last_stage == ([4, 4, 4] if is_city else [4, 8, 16])
    assert {block.conv2.dilation[0] for block in model.backbone.layer3} == {2}


def test_takes_levels_resized_to_the_finest() -> None:
    case = HEADS['pcaa-stages']
    inputs: Sequence[Tensor] = case.inputs(1, 65, 90)
    assert case.build()(inputs).shape[2:] == inputs[1].shape[2:]

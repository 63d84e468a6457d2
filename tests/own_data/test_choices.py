"""What is chosen for data, device and time."""

import dataclasses

import pytest
from data_folders import write_contract
from tiny_run import sentence

from segheads.configs.loading import load_config
from segheads.configs.signatures import check_arguments
from segheads.own_data import networks
from segheads.own_data.choices import Length, choose
from segheads.own_data.config_file import config_text
from segheads.own_data.machine import Machine, look_at_machine
from segheads.own_data.networks import find_network, heads_of, model_files
from segheads.own_data.survey import survey_data
from segheads.weights.at_hand import WeightsAtHand

CPU, GPU = Machine('cpu', 16.0), Machine('cuda', 24.0)


@pytest.fixture
def survey(tmp_path):
    """A data folder that has been looked at; its images are said to be photographs."""
    return dataclasses.replace(survey_data(write_contract(tmp_path)), size=(3000, 4000))


@pytest.fixture
def nothing_at_hand(monkeypatch):
    """No weights on this machine."""
    monkeypatch.setattr(networks, 'find_at_hand', lambda path: None)


def test_cpu_and_gpu(survey, nothing_at_hand):
    """On a CPU images, crops, network and length are smaller."""
    on_cpu = choose(survey, find_network(None, on_cpu=True), CPU, Length())
    on_gpu = choose(survey, find_network(None, on_cpu=False), GPU, Length())
    assert (on_cpu.image_size, on_cpu.crop_size) == ((480, 640), (192, 256))
    assert (on_gpu.image_size, on_gpu.crop_size) == ((960, 1280), (384, 512))
    assert on_cpu.network.model['decode_head']['num_blocks'] == 1
    assert on_gpu.network.model['decode_head']['num_blocks'] == 3
    assert (on_cpu.iterations, on_gpu.iterations) == (200, 1000)
    assert all(side % 32 == 0 for side in (*on_cpu.crop_size, *on_gpu.crop_size))
    assert look_at_machine().gigabytes > 0


def test_start_of_the_weights(survey, nothing_at_hand, monkeypatch):
    """Random weights learn faster, and are said to be replaceable."""
    scratch = choose(survey, find_network('ccaseg_b0', on_cpu=False), GPU, Length())
    assert scratch.optim_wrapper['optimizer']['lr'] == 1e-3
    assert scratch.network.model['backbone']['init_cfg'] is None
    assert '`segheads download mit_b0`' in scratch.reasons['network']
    monkeypatch.setattr(networks, 'find_at_hand', WeightsAtHand)
    pretrained = choose(survey, find_network('ccaseg_b0', on_cpu=False), GPU, Length())
    assert pretrained.optim_wrapper['optimizer']['lr'] == 6e-5
    assert pretrained.optim_wrapper['paramwise_cfg']['custom_keys']['head'] == dict(lr_mult=10.0)
    small = choose(survey, find_network(None, on_cpu=True), CPU, Length())
    assert small.network.name == 'ccaseg_lite0'
    assert small.optim_wrapper['optimizer']['lr'] == 5e-4


def test_length(survey, nothing_at_hand):
    """Passes, batches or minutes, or what the number of images asks for."""
    network = find_network('ccaseg_b0', on_cpu=True)
    assert choose(survey, network, CPU, Length(epochs=7)).iterations == 7
    assert choose(survey, network, CPU, Length(iterations=3)).iterations == 3
    timed = choose(survey, network, CPU, Length(minutes=2))
    assert timed.minutes == 2 and 'minutes' in timed.reasons['length']
    assert '--minutes and --epochs' in sentence(Length, 3, 4)
    assert '--minutes is 0' in sentence(Length, 0)
    assert '--epochs is -1' in sentence(Length, None, -1)
    assert 'nan' in sentence(Length, float('nan'))


def test_batch_by_memory(survey, nothing_at_hand):
    """Little memory takes small batches, processes share one on a CPU."""
    network = find_network('ccaseg_b0', on_cpu=False)
    assert choose(survey, network, GPU, Length()).batch_size == 8
    assert choose(survey, network, Machine('cuda', 4.0), Length()).batch_size == 3
    shared = choose(survey, network, CPU, Length(), processes=4)
    assert (shared.batch_size, shared.processes) == (8, 4)
    assert choose(survey, network, GPU, Length(), processes=2).batch_size == 16


def test_networks(nothing_at_hand):
    """Every network of the project can be had, and a wrong name is corrected."""
    assert {'ccaseg_b0', 'cgrseg_t', 'sasformer_b0', 'ccsnet_b1', 'pcaa_r50'} <= set(model_files())
    for name in model_files():
        assert not find_network(name, on_cpu=True).is_pretrained
    assert 'did you mean ccaseg_b0?' in sentence(find_network, 'ccaseg_b0_ade20k', True)
    assert 'ccaseg_tiny' in sentence(find_network, 'ccaseg_tinny', True)
    assert 'it takes ccaseg_b0' in sentence(find_network, 'xyz', True)


@pytest.mark.parametrize('name', model_files())
def test_config_of_every_network(tmp_path, survey, nothing_at_hand, name):
    """Each gives a config that parses, and whose classes take what it gives them."""
    choices = choose(survey, find_network(name, on_cpu=True), CPU, Length(minutes=1))
    (tmp_path / 'config.py').write_text(config_text(survey, choices, tmp_path, 'segheads train'))
    cfg = load_config(str(tmp_path / 'config.py'))
    check_arguments(cfg)
    assert all(head['num_classes'] == 3 for head in heads_of(cfg.model))

"""Every config has one short name."""

from pathlib import Path

from tiny_run import tracked_configs

import segheads
from segheads.configs.names import config_files, name_files

CONFIGS = Path(__file__).resolve().parents[2] / 'local_configs'


def test_every_config_has_a_name_of_its_own():
    assert segheads.list_models() == sorted(config_files())
    ours = tracked_configs()
    names = {name: file for name, file in config_files().items() if file in ours}
    assert sorted(names.values()) == ours
    for name, file in names.items():
        assert name.isidentifier() and name.islower()
        assert name.split('_')[0] == file.relative_to(CONFIGS).parts[0]


def test_names_tell_method_encoder_and_data_set():
    expected = {
        'ccaseg_b0_ade20k': 'ccaseg/B0/ccaseg.b0.512x512.ade.160k.py',
        'ccaseg_b0_camvid': 'ccaseg/B0/ccaseg.b0.360x480.camvid.20k.py',
        'ccaseg_b0_camvid_cpu': 'ccaseg/B0/ccaseg.b0.192x256.camvid.1k.cpu.py',
        'ccaseg_b0_synthetic_demo': 'ccaseg/B0/ccaseg.b0.128x160.synthetic.demo.py',
        'ccaseg_tiny_isaid': 'ccaseg/tiny/ccaseg.tiny.896x896.iSAID.160k.py',
        'ccsnet_b1_pascal_context_59': 'ccsnet/B1/ccsnet.b1.480x480.pascal-context-59.80k.py',
        'ccsnet_swin_t_ade20k': 'ccsnet/swin_t/ccsnet.swin-t.512x512.ade.160k.py',
        'cgrseg_t_pascal_context_59': 'cgrseg/cgrseg-t_pascal-context59_80k.py',
        'pcaa_r50_cityscapes': 'pcaa/R50/pcaa.r50.768x768.city.60k.py',
    }
    names = config_files()
    assert {name: names[name].relative_to(CONFIGS).as_posix() for name in expected} == expected


def test_a_pattern_chooses():
    names = segheads.list_models('pcaa_*_cityscapes')
    assert names == ['pcaa_r101_cityscapes', 'pcaa_r50_cityscapes']
    assert segheads.list_models('nothing*') == []


def test_two_recipes_of_a_model_keep_both_in_their_names():
    files = [Path('a.b0.512x512.ade.160k.py'), Path('a.b0.640x640.ade.80k.py'), Path('a.b1.ade.py')]
    assert list(name_files(files)) == [
        'a_b0_512x512_ade20k_160k',
        'a_b0_640x640_ade20k_80k',
        'a_b1_ade20k',
    ]

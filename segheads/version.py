"""The version, apart from the package so that setup.py can read it without importing PyTorch."""

__version__ = '0.1.0'

"""Segmentors that need less memory and fewer arguments than MMSegmentation's own."""

from .lean import LeanCascadeEncoderDecoder, LeanEncoderDecoder

__all__ = ['LeanCascadeEncoderDecoder', 'LeanEncoderDecoder']

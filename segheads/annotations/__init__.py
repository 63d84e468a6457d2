"""Annotations of other tools, read and written as images with masks of class ids.

One file per format: a recogniser (``is_...``) and a reader (``read_...``) that yields a
:class:`~.records.Source`. ``importing`` leads from there to a folder that training reads.
"""

"""What is asked of data before and beside training: files, labels, names of the classes."""

# They make the data sets of MMSegmentation list and read with care, whatever builds them.
from . import damage, listing

__all__ = ['damage', 'listing']

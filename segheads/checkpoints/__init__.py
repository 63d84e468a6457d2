"""Safe loading of checkpoints and translation of the names in authors' releases."""

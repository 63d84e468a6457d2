"""The best checkpoint under a name that does not change."""

import os

from segheads.training.best_checkpoint import name_best


def test_second_name(tmp_path, monkeypatch):
    """It moves on to a better file, also where the file system has no second names."""
    first, second, best = (tmp_path / name for name in ('1.pth', '2.pth', 'best.pth'))
    first.write_text('first')
    second.write_text('second')
    name_best(first, best)
    name_best(first, best)
    assert best.samefile(first)

    def refuse(*arguments):
        raise OSError

    monkeypatch.setattr(os, 'link', refuse)
    name_best(second, best)
    assert best.read_text() == 'second' and not best.samefile(second)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['1.pth', '2.pth', 'best.pth']

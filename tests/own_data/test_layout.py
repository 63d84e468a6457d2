"""Values as text that can be read again."""

from segheads.own_data.layout import WIDTH, Name, assign


def test_what_is_written_is_read_again():
    """Long values take several lines, and no line is too long."""
    value = dict(
        short=dict(a=1, b=(1,), c=[], d={}, e='it\'s "quoted"', f=None, g=(), h=-1.5e-6),
        long=[dict(type='Step', number=number, names=['x' * 20] * 3) for number in range(3)],
        odd={'a.b': dict(x=1), 'c': 'y' * 70},
    )
    text = assign(value=value)
    read = {}
    exec(text, read)
    assert read['value'] == value
    assert max(map(len, text.splitlines())) <= WIDTH
    assert '\n    short=dict(a=1, b=(1,), c=[]' in text


def test_names():
    """A name stands as it is."""
    assert assign(a=dict(pipeline=Name('steps'))) == 'a = dict(pipeline=steps)\n'

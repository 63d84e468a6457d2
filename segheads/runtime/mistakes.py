"""A user's mistake in a package that stands alone."""


class RunnerMistake(ValueError):
    """A mistake in a file, an image or an argument; its text is the sentence for the user."""

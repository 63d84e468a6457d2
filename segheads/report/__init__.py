"""A training run as one page: its logs, what the model makes of the data, and what it costs."""

"""Models as files that run without MMSegmentation, each checked against the model it came from."""

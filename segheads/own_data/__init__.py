"""From a folder of images and masks to a trained model, without a config written by hand."""

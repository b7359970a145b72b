"""Sides of images and lengths of texts, where nothing else decides them."""

CRITTERS = 48  # side of the ladder's critters
LECTURE = 150  # side of photographs, where the base does not record its own
# Side of the images that a base is pretrained on: four ninths of the work of 48, and fine-tuning
# adapts to the difference.
PRETRAIN = 32
CNN_VALID = 46  # below it the scratch CNN pads its convolutions
WINDOW = 64  # tokens of running text, and most of a text where the base does not record its own

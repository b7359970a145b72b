"""Augmentation: random changes of photographs, drawn on the device from one key per image."""

from tljax.data.augment.photometric import Photometric as Photometric
from tljax.data.augment.warp import Augment as Augment
from tljax.data.augment.warp import Augmentation as Augmentation
from tljax.data.augment.warp import Maps as Maps
from tljax.data.augment.warp import Params as Params
from tljax.data.augment.warp import affine as affine
from tljax.data.augment.warp import augment_batch as augment_batch
from tljax.data.augment.warp import draw as draw
from tljax.data.augment.warp import inverse as inverse
from tljax.data.augment.warp import matrices as matrices
from tljax.data.augment.warp import read as read
from tljax.data.augment.warp import warp as warp

"""PyTorch contenders: the same networks and steps, channels last, as PyTorch users write them.

They run in an environment with torch, which need not have JAX.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn.functional import binary_cross_entropy_with_logits  # pyright: ignore[reportMissingImports]

from tljax.benchmark import photos
from tljax.benchmark.rows import Settings
from tljax.benchmark.timing import Contender

_VGG16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
# EfficientNet-Lite0: (blocks, kernel, stride of the first, expansion, channels).
_LITE0 = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def _scratch(settings: Settings) -> Any:
    layers: list[Any] = []
    for before, channels in zip((3, 32, 64, 128), (32, 64, 128, 128), strict=True):
        layers += [nn.Conv2d(before, channels, 3), nn.ReLU(), nn.MaxPool2d(2)]
    base = nn.Sequential(*layers)
    return _placed(nn.Sequential(base, _head(base, settings, hidden=512, dropout=0.5)), settings)


def _vgg(settings: Settings, *, trains: int) -> Any:
    """Build VGG16 and the lecture's head; the last `trains` of the base's five blocks train."""
    blocks, before = [], 3
    for convs, channels in _VGG16:
        channels, layers = max(1, round(channels * settings.width)), []
        for _ in range(convs):
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            before = channels
        blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
    for block in blocks[: len(blocks) - trains]:
        block.requires_grad_(False)
    base = nn.Sequential(*blocks)
    return _placed(nn.Sequential(base, _head(base, settings, hidden=256, dropout=0.0)), settings)


def _lite0(settings: Settings) -> Any:
    """Build EfficientNet-Lite0 with one layer on its pooled features; all of it trains."""
    layers, before = [_normed(nn.Conv2d(3, 32, 3, 2, 1, bias=False)), nn.ReLU6()], 32
    for number, size, stride, expansion, channels in _LITE0:
        for place in range(number):
            layers.append(_Inverted(before, channels, size, 1 if place else stride, expansion))
            before = channels
    layers += [_normed(nn.Conv2d(before, 1280, 1, bias=False)), nn.ReLU6()]
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1)]
    return _placed(nn.Sequential(*layers, *pooled), settings)


class _Inverted(nn.Module):
    """Expand, filter each channel and project, around a skip where the shapes agree."""

    def __init__(self, before: int, channels: int, size: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        expand = [_normed(nn.Conv2d(before, wide, 1, bias=False)), nn.ReLU6()]
        depthwise = nn.Conv2d(wide, wide, size, stride, size // 2, groups=wide, bias=False)
        self.branch = nn.Sequential(
            *(expand if expansion > 1 else []),
            _normed(depthwise),
            nn.ReLU6(),
            _normed(nn.Conv2d(wide, channels, 1, bias=False)),
        )
        self.skip = stride == 1 and before == channels

    def forward(self, x: Any) -> Any:
        return x + self.branch(x) if self.skip else self.branch(x)


def _normed(conv: Any) -> Any:
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels, eps=1e-3, momentum=0.01))


def _head(base: Any, settings: Settings, *, hidden: int, dropout: float) -> Any:
    with torch.no_grad():
        flat = base(torch.zeros(1, 3, settings.size, settings.size)).numel()
    return nn.Sequential(
        nn.Flatten(), nn.Dropout(dropout), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, 1)
    )


def _device(settings: Settings) -> str:
    return "cuda" if settings.accelerated and torch.cuda.is_available() else "cpu"


def _placed(model: Any, settings: Settings) -> Any:
    """Move the model to its device, channels last; compile it on a GPU."""
    torch.backends.cudnn.benchmark = True
    model = model.to(_device(settings), memory_format=torch.channels_last)
    return torch.compile(model) if _device(settings) == "cuda" else model


def _wait(settings: Settings) -> None:
    if _device(settings) == "cuda":
        torch.cuda.synchronize()


def _cast(settings: Settings) -> Any:
    """Make the forward pass compute in the dtype of the run; parameters stay float32."""
    dtype = getattr(torch, settings.dtype)
    return torch.autocast(_device(settings), dtype, enabled=settings.dtype != "float32")


def _batch(settings: Settings, count: int) -> tuple[Any, Any]:
    pixels, labels = photos.images(count, settings.size)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(_device(settings), torch.float32) / 255
    return images.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels)[
        :, None
    ].float().to(images.device)


def _step(model: Any, settings: Settings, count: int) -> Contender:
    images, labels = _batch(settings, count)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.RMSprop(trainable, lr=1e-4, alpha=0.9, eps=1e-7)
    model.train()

    def call() -> None:
        optimizer.zero_grad(set_to_none=True)
        with _cast(settings):
            logits = model(images)
        binary_cross_entropy_with_logits(logits.float(), labels).backward()
        optimizer.step()
        _wait(settings)

    return Contender(call, {"images": count})


def _scratch_step(settings: Settings) -> Contender:
    return _step(_scratch(settings), settings, settings.batch)


def _small_scratch_step(settings: Settings) -> Contender:
    return _step(_scratch(settings), settings, settings.small_batch)


def _full_step(settings: Settings) -> Contender:
    return _step(_vgg(settings, trains=5), settings, settings.vgg_batch)


def _block5_step(settings: Settings) -> Contender:
    return _step(_vgg(settings, trains=1), settings, settings.vgg_batch)


def _frozen_step(settings: Settings) -> Contender:
    return _step(_vgg(settings, trains=0), settings, settings.vgg_batch)


def _lite0_step(settings: Settings) -> Contender:
    return _step(_lite0(settings), replace(settings, size=settings.lite0_size), settings.vgg_batch)


def _forward(settings: Settings) -> Contender:
    return _logits(_vgg(settings, trains=0), settings)


def _lite0_forward(settings: Settings) -> Contender:
    return _logits(_lite0(settings), replace(settings, size=settings.lite0_size))


def _logits(model: Any, settings: Settings) -> Contender:
    images, _ = _batch(settings, settings.vgg_batch)
    model.eval()

    @torch.inference_mode()
    def call() -> None:
        with _cast(settings):
            model(images)
        _wait(settings)

    return Contender(call, {"images": settings.vgg_batch})


def _evaluation(settings: Settings) -> Contender:
    """Time the mean loss and accuracy over float32 images already on the device."""
    model, (images, labels) = _scratch(settings).eval(), _batch(settings, settings.evaluated)

    @torch.inference_mode()
    def call() -> None:
        loss = correct = torch.zeros((), device=images.device)
        for x, y in zip(images.split(settings.batch), labels.split(settings.batch), strict=True):
            with _cast(settings):
                logits = model(x).float()
            loss = loss + binary_cross_entropy_with_logits(logits, y, reduction="sum")
            correct = correct + ((logits > 0) == (y > 0)).sum()
        torch.stack((loss, correct)).tolist()

    return Contender(call, {"images": settings.evaluated})


MAKERS: dict[str, Callable[[Settings], Contender]] = {
    "scratch step": _scratch_step,
    "small scratch step": _small_scratch_step,
    "full step": _full_step,
    "block5 step": _block5_step,
    "frozen step": _frozen_step,
    "forward": _forward,
    "Lite0 step": _lite0_step,
    "Lite0 forward": _lite0_forward,
    "evaluation": _evaluation,
}

"""That text can be read on what it stands on, in either theme."""

import pytest

from tljax.report.pages import document


def luminance(colour: str) -> float:
    """Relative, of '#rrggbb' (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_by_the_standards_own_examples():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [document.LIGHT, document.DARK])
@pytest.mark.parametrize("text", ["ink", "faint", "wrong"])
@pytest.mark.parametrize("ground", ["paper", "box"])
def test_text_has_contrast(theme, text, ground):
    assert contrast(theme[text], theme[ground]) >= 4.5


def test_the_page_has_both_themes():
    page = document.document("a < b", ["<p>x</p>", ""])
    assert "<title>a &lt; b</title>" in page
    for theme in (document.LIGHT, document.DARK):
        assert f"--ink: {theme['ink']}; --faint: {theme['faint']};" in page
    assert (
        page.index(document.LIGHT["ink"])
        < page.index("prefers-color-scheme: dark")
        < page.index(document.DARK["ink"])
    )
    assert set(document.LIGHT) == set(document.DARK)

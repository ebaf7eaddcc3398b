"""Sparklines: a few numbers as small bars, drawn by the server, so that no script is needed."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

HEIGHT = 20
STEP = 5  # of each bar, with the gap behind it


def sparkline(numbers: Sequence[float], says: str, kind: str = "") -> Markup:
    """Return a picture of numbers.

    Args:
        says: the same in words, for whoever does not see it.
        kind: the state whose colour the bars have.
    """
    most = max(numbers, default=0) or 1
    bars = Markup("").join(
        Markup('<rect x="{}" y="{}" width="{}" height="{}"/>').format(
            place * STEP, round(HEIGHT - height, 1), STEP - 1, round(height, 1)
        )
        for place, number in enumerate(numbers)
        if (height := max(1.5, number / most * HEIGHT) if number else 0)
    )
    return Markup(
        '<svg class="spark{}" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}"><title>{}</title>{}</svg>'
    ).format(f" state-{kind}" if kind else "", len(numbers) * STEP, HEIGHT, says, says, bars)

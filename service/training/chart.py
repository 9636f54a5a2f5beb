"""Figures of several methods as a bar chart, SVG; knows nothing of how they were taken."""

from collections.abc import Sequence
from html import escape

from service.training.figures import Evaluation

_WIDTH, _LABEL, _BAR, _GAP = 920, 380, 16, 30
_PANELS = (("Recall@20", "recall", "#2b6cb0"), ("NDCG@20", "ndcg", "#2f855a"))


def chart(evaluations: Sequence[Evaluation], title: str) -> str:
    """Return an SVG document: a bar and its 95 % interval for each method, a panel for each figure."""
    lines, top = [], 40
    for label, name, colour in _PANELS:
        largest = max(max(getattr(each, f"{name}_interval")[1] for each in evaluations), 1e-9)
        scale = (_WIDTH - _LABEL - 90) / largest
        lines.append(f'<text x="{_LABEL}" y="{top}" font-weight="bold">{label}</text>')
        for each in evaluations:
            top += _GAP
            value, (low, high) = getattr(each, name), getattr(each, f"{name}_interval")
            middle = top - _BAR / 2 + 2
            lines += [
                f'<text x="{_LABEL - 10}" y="{top}" text-anchor="end">{escape(each.method)}</text>',
                f'<rect x="{_LABEL}" y="{top - _BAR + 3}" width="{value * scale:.1f}" height="{_BAR}"'
                f' fill="{colour}"/>',
                f'<path d="M{_LABEL + low * scale:.1f} {middle}H{_LABEL + high * scale:.1f}" stroke="black"'
                ' stroke-width="2"/>',
                f'<text x="{_LABEL + high * scale + 8:.1f}" y="{top}">{value:.4f}</text>',
            ]
        top += 2 * _GAP
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}"'
        f' font-family="sans-serif" font-size="13">\n<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="10" y="20" font-size="14">{escape(title)}</text>\n{body}\n</svg>\n'
    )

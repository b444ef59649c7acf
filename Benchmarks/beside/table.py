"""The rows of the comparison, and the markdown table that they make."""


class Row:
    """One quantity: a number for each tool, or a text where there is none."""

    def __init__(self, what, unit, values, goal="–", better="less", ratio_goal=None):
        self.what, self.unit, self.values, self.goal = what, unit, dict(values), goal
        self.better, self.ratio_goal = better, ratio_goal

    def ratio(self, peer, ours="Highwater"):
        """Ours divided by the peer's; None where that says nothing."""
        pair = self.values.get(ours), self.values.get(peer)
        if any(not isinstance(value, (int, float)) for value in pair) or not pair[1]:
            return None
        return pair[0] / pair[1]

    def loses(self, peer):
        """Whether the peer does better by more than the noise of a pair."""
        pair = self.values.get("Highwater"), self.values.get(peer)
        if self.better is None or any(not isinstance(value, (int, float)) for value in pair):
            return False
        ours, theirs = pair
        return ours > theirs * 1.02 if self.better == "less" else ours < theirs * 0.98

    def cells(self, tools):
        cells = [self.what, self.goal, text(self.values.get("Highwater"), self.unit)]
        for peer in tools[1:]:
            ratio = self.ratio(peer)
            shown = "" if ratio is None else digits(ratio)
            if self.loses(peer):
                shown = f"**{shown or 'worse'}**"
            cells += [text(self.values.get(peer), self.unit), shown]
        return cells

    def as_json(self):
        return {key: value for key, value in vars(self).items() if key != "ratio_goal"}


def digits(value):
    """Three digits, as they are read."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else (
        f"{value:.2g}"
    )


def text(value, unit):
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if unit == "B":
        for name, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
            if abs(value) >= size:
                return f"{digits(value / size)} {name}"
        return f"{value:.0f} B"
    return f"{digits(value)} {unit}".strip()


def head(tools):
    names = ["what", "goal", tools[0]]
    for peer in tools[1:]:
        names += [peer, "ratio"]
    return line(names) + "\n" + line(["---"] * len(names))


def line(cells):
    return "| " + " | ".join(cells) + " |"

"""Breaking text into lines."""


def wrap(text: str, width: int) -> list[str]:
    """Break a text at spaces into lines of at most `width` cells; a longer word stands alone."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines

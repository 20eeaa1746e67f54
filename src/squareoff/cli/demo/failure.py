"""The one way in which the demo fails: something is not as it must be, said in words."""


class DemoFailure(Exception):
    """The demo cannot go on, or what it shows is not true; each line is one difference."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines

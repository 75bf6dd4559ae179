"""Docstrings as the site shows them: examples as code, without notes that are not shipped."""

from __future__ import annotations

import re

import griffe

NOTES = re.compile(r"(?:[;,:]? ?(?:the code: )?)papers/\w+\.md(?:,? ?\d[\d., to]*)?(?<=[\w])")
EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\n).+)*", flags=re.M)


class Docstrings(griffe.Extension):
    """Edits what is read, before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Fence the examples of a docstring; leave out where the notes on papers are named."""
        if obj.docstring is None:
            return
        text = NOTES.sub("", obj.docstring.value).replace(" ()", "").replace("(; ", "(")
        obj.docstring.value = EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", text)

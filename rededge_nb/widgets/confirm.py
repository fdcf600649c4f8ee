"""A question before something is done that cannot be undone."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets

from rededge_nb.widgets.panels import button, row
from rededge_nb.widgets.status_text import StatusText


class Confirmation(ipywidgets.Box):  # type: ignore[misc]  # ipywidgets has no types
    """A question with two buttons; it is hidden until `ask`.

    Attributes:
        question: The question.
        yes, no: The buttons.
    """

    def __init__(self) -> None:
        self._action: Callable[[], None] | None = None
        self.question = StatusText(level="warning")
        self.yes = button("", "", self._confirm, "warning")
        self.no = button("Cancel", "do nothing", self.hide)
        super().__init__([self.question, row(self.yes, self.no)])
        self.add_class("rededge-confirmation")
        self.hide()

    def ask(self, question: str, answer: str, action: Callable[[], None]) -> None:
        """Show a question; `action` is called if the button with the text `answer` is clicked."""
        self._action = action
        self.question.show(question, "warning")
        self.yes.description, self.yes.tooltip = answer, answer
        self.layout.display = ""

    def hide(self) -> None:
        """Withdraw the question."""
        self._action = None
        self.question.show("")
        self.layout.display = "none"

    def _confirm(self) -> None:
        action = self._action
        self.hide()
        if action is not None:
            action()

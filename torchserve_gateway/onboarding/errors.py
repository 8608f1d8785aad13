"""Errors of onboarding a model."""


class OnboardingError(Exception):
    """The file cannot be served as it is; the message says why.

    Args:
        message: the reason.
        options: what the next call should add, by the name of a field of `Asked`.
    """

    def __init__(self, message: str, **options: str) -> None:
        super().__init__(message)
        self.options = options

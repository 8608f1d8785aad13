"""Handler of imagenet: our classifier, with the five likeliest of its thousand classes."""

from ts_serialize.handler import ImageClassificationHandler


class TopFiveHandler(ImageClassificationHandler):
    """Answers `{class: probability}` for five classes."""

    top_k = 5

"""MLServer: a runtime for its adaptive batching, which joins the images of several requests into one."""

import json

from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from tools.bench.peers.servers.classifier import Classifier


class Runtime(MLModel):  # type: ignore[misc]
    """Base64 images in, an answer as JSON text each out."""

    async def load(self) -> bool:
        """Loads the model in a worker."""
        self._classifier = Classifier()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answers a batch."""
        images = Base64Codec.decode_input(payload.inputs[0])
        answers = [json.dumps(each) for each in self._classifier.classify(images)]
        return InferenceResponse(
            model_name=self.name, outputs=[StringCodec.encode_output("answers", answers, use_bytes=False)]
        )

"""The stages of one prediction, each wrapping the next. Imported by the gateway's application."""

from torchserve_gateway.gateway.prediction.stages.breaker import Breaker
from torchserve_gateway.gateway.prediction.stages.cache import Cache, CacheCounts
from torchserve_gateway.gateway.prediction.stages.deadline import Deadline
from torchserve_gateway.gateway.prediction.stages.fallback import Fallback
from torchserve_gateway.gateway.prediction.stages.isolation import Isolation, IsolationCounts
from torchserve_gateway.gateway.prediction.stages.loading import Loading
from torchserve_gateway.gateway.prediction.stages.retry import Retry
from torchserve_gateway.gateway.prediction.stages.running_jobs import RunningJobs
from torchserve_gateway.gateway.prediction.stages.shadow import Shadow
from torchserve_gateway.gateway.prediction.stages.torchserve_call import TorchServeCall
from torchserve_gateway.gateway.prediction.stages.version_choice import VersionChoice
from torchserve_gateway.gateway.prediction.stages.version_counting import VersionCounting

__all__ = [
    "Breaker",
    "Cache",
    "CacheCounts",
    "Deadline",
    "Fallback",
    "Isolation",
    "IsolationCounts",
    "Loading",
    "Retry",
    "RunningJobs",
    "Shadow",
    "TorchServeCall",
    "VersionChoice",
    "VersionCounting",
]

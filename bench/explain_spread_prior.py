"""Learn the forecast that comes with Vanished: `python -m bench.explain_spread_prior`.

In: the public Weibo cascades beside the checkout, the earliest 60 % of them by time. Out:
`src/vanished/explain/forecast_prior.json`, numbers only. `bench/explain_spread.py` learns the same
model again and asks it about the later cascades.
"""

from __future__ import annotations

from bench.explain_spread import CED, TRAINED
from bench.harness import ROOT
from vanished.explain.forecast_fit import FitSettings, fit
from vanished.explain.forecast_prior import model_json
from vanished.lab.weibo_cascades import ced, watched

FILE = ROOT / "src/vanished/explain/forecast_prior.json"
ORIGIN = (
    "public Weibo posts with mostly 100 to 999 reposts, December 2010 to February 2013 (CED data"
    " set, Song et al. 2018, arXiv:1811.04175), 39 % of them rumours"
)


def main() -> None:
    """Write the model."""
    recorded = ced(CED)
    earlier = [watched(one) for one in recorded[: int(TRAINED * len(recorded))]]
    FILE.write_text(model_json(fit(earlier, FitSettings(origin=ORIGIN))), encoding="utf-8")


if __name__ == "__main__":
    main()

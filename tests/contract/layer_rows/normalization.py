"""Rows of the layer contract: normalization."""

import numpy as np

from tests.contract.rows import Row, floats

MASK = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1], [0, 1, 0]], "bool")
CLIPPING = {"rmax": 1.2, "rmin": 0.9, "dmax": 0.1}
ROWS = [
    Row("BatchNormalization", {}, floats(8, 5)),
    Row("BatchNormalization", {"momentum": 0.5, "epsilon": 1e-2}, floats(3, 4, 5, 2)),
    Row("BatchNormalization", {"scale": False, "center": False}, floats(3, 4, 5, 2)),
    Row("BatchNormalization", {"epsilon": 1e-6}, floats(3, 4, 5, 2)),
    Row("BatchNormalization", {"axis": 1, "scale": False}, floats(4, 3, 5, 2)),
    Row("BatchNormalization", {"center": False, "gamma_regularizer": "l2"}, floats(4, 3, 2)),
    Row("BatchNormalization", {"momentum": 0.5}, floats(4, 3, 2), call={"mask": MASK}, dynamic=False),
    Row("BatchNormalization", {"renorm": True, "momentum": 0.5}, floats(4, 3, 5, 2)),
    Row("BatchNormalization", {"renorm": True, "renorm_clipping": CLIPPING, "scale": False}, floats(8, 3)),
    Row("LayerNormalization", {}, floats(4, 6)),
    Row("LayerNormalization", {"axis": [1, 2], "center": False}, floats(3, 4, 5)),
    Row("LayerNormalization", {"axis": 1, "gamma_regularizer": "l2"}, floats(3, 4, 5)),
    Row("LayerNormalization", {"scale": False, "epsilon": 1e-5}, floats(3, 4, 5)),
    Row("GroupNormalization", {"groups": 2}, floats(3, 5, 4)),
    Row("GroupNormalization", {"groups": -1, "center": False}, floats(3, 2, 5, 4)),
    Row("GroupNormalization", {"groups": 1, "axis": 1, "epsilon": 1e-2}, floats(3, 4, 5, 2)),
    Row("RMSNormalization", {}, floats(4, 6)),
    Row("RMSNormalization", {"axis": [-1], "epsilon": 1e-2}, floats(4, 3, 3)),
    Row("UnitNormalization", {}, floats(4, 6)),
    Row("UnitNormalization", {"axis": [1, 2]}, floats(3, 4, 5)),
]

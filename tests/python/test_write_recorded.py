"""What is written and committed, as delta-spark does it (`scenarios_write.py`)."""

import pytest
import scenarios_write
from recorded import ANSWERS, check

pytestmark = pytest.mark.skipif(not (ANSWERS / "write.json").exists(), reason="not recorded yet: `python tools/record_delta.py write`")

# Where we differ, and why.
DIFFERS = {}


@pytest.mark.parametrize("name", scenarios_write.SCENARIOS)
def test_write(spark, tmp_path, request, name):
    if name in DIFFERS:
        request.applymarker(pytest.mark.xfail(reason=DIFFERS[name], strict=True))
    check("write", name, scenarios_write.SCENARIOS[name], spark, tmp_path)

"""Every part of every family keeps the conventions; a new file is tested with no test edited."""

import pytest

from deepwright.testing import parts


@pytest.mark.parametrize("check", parts.CHECKS, ids=parts.check_name)
@pytest.mark.parametrize(("family", "name"), parts.discovered())
def test_part(family, name, check):
    check(parts.find(family, name))

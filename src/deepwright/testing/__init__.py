"""Conformance suites, one per family, for this package's parts and those of plugins (floor 8; needs pytest).

A suite is a list of checks, each a function of one part's class (for encoders, fusions, heads and losses of one part, so that
any configuration can be checked); discovery finds the parts, plugins included, so that a new file is tested with no test edited::

    from deepwright.testing import features, parts

    @pytest.mark.parametrize("check", parts.CHECKS, ids=parts.check_name)
    @pytest.mark.parametrize(("family", "name"), parts.discovered())
    def test_part(family, name, check):
        check(parts.find(family, name))

The author of a plugin may also call ``parts.conforms(MyPart)`` and ``features.conforms(MyFeature)``.
"""

import pkgutil

import pytest

# so that a failing check shows the values that it compared
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))

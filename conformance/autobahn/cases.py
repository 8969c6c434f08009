"""Prints as JSON which cases the suite takes patterns for: python cases.py PATTERN... (Python 2.7)"""

from __future__ import print_function

import json
import sys

from autobahntestsuite.case import CaseBasename, CaseCategories, Cases, CaseSetname, CaseSubCategories
from autobahntestsuite.caseset import CaseSet

cases = CaseSet(CaseSetname, CaseBasename, Cases, CaseCategories, CaseSubCategories)
for pattern in sys.argv[1:]:
    if not set(cases.resolveCasePatternList([pattern])) & set(cases.CasesById):
        sys.exit("there is no case " + pattern)
print(json.dumps(cases.parseSpecCases({"cases": sys.argv[1:]})))

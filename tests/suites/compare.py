#!/usr/bin/env python3
"""Compares what a client's own test suite did with what was expected of it.

    compare.py EXPECTED JUNIT_XML...

EXPECTED names the cases that may fail, one a line, `test id -- reason`; `#` starts a comment.
The verdict is a failure if a case outside the list failed, if a case of the list passed (the
list is then out of date), if the list names a case that did not run, or if nothing ran at all.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter

OUTCOMES = ('passed', 'failed', 'skipped')


def read_expected(path):
    """Returns test id -> reason."""
    expected = {}
    with open(path, encoding='utf-8') as lines:
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith('#'):
                continue
            test_id, separator, reason = line.partition(' -- ')
            if not separator or not reason.strip():
                sys.exit(f'{path}:{number}: a line is `test id -- reason`')
            if test_id in expected:
                sys.exit(f'{path}:{number}: listed twice: {test_id}')
            expected[test_id] = reason
    return expected


def case_id(case, path):
    """The suites that enclose a case, then its name. pytest and JUnit put the first into
    `classname`; Node's reporter nests <testsuite> elements and calls every class `test`."""
    class_name = case.get('classname', '')
    enclosing = path if class_name in ('', 'test', 'suite') else [class_name]
    return ' > '.join([*enclosing, case.get('name', '')])


def outcome(case):
    """One of OUTCOMES."""
    children = {child.tag for child in case}
    if children & {'failure', 'error'}:
        return 'failed'
    return 'skipped' if 'skipped' in children else 'passed'


def cases(element, path=()):
    """Yields (test id, outcome, first line of the failure) for each case below `element`."""
    for child in element:
        # Node calls a suite 'undefined' where it was cut off by a time-out.
        if child.tag in ('testsuite', 'undefined'):
            name = child.get('name', '')
            # pytest's one outer suite says nothing.
            yield from cases(child, [*path, *([name] if name != 'pytest' else [])])
        elif child.tag == 'testcase':
            failure = child.find('failure')
            failure = child.find('error') if failure is None else failure
            message = '' if failure is None else (failure.get('message') or failure.text or '')
            first_line = next(iter(message.strip().splitlines()), '')
            yield case_id(child, path), outcome(child), first_line


def main(expected_path, *junit_paths):
    expected = read_expected(expected_path)
    outcomes, messages, seen = {}, {}, Counter()
    for junit_path in junit_paths:
        root = ElementTree.parse(junit_path).getroot()
        for test_id, result, message in cases([root] if root.tag == 'testsuite' else root):
            # Some suites use a name twice: the second and later ones get a number.
            seen[test_id] += 1
            if seen[test_id] > 1:
                test_id = f'{test_id} #{seen[test_id]}'
            outcomes[test_id], messages[test_id] = result, message

    complaints = []
    for test_id, result in outcomes.items():
        if result == 'failed' and test_id not in expected:
            complaints.append(f'UNEXPECTED FAILURE  {test_id} -- {messages[test_id]}')
        if result == 'passed' and test_id in expected:
            complaints.append(f'UNEXPECTED PASS     {test_id} -- {expected[test_id]}')
    for test_id in expected:
        if test_id not in outcomes:
            complaints.append(f'DID NOT RUN         {test_id} -- {expected[test_id]}')
    if not outcomes:
        complaints.append('NOTHING RAN')

    for complaint in complaints:
        print(complaint)
    counts = Counter(outcomes.values())
    foreseen = sum(outcomes.get(test_id) == 'failed' for test_id in expected)
    print(f'{foreseen} of the failures were expected')
    print(', '.join(f'{counts[name]} {name}' for name in OUTCOMES))
    return 1 if complaints else 0


if __name__ == '__main__':
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))

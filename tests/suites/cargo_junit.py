#!/usr/bin/env python3
"""Turns the output of `cargo test` into JUnit XML: a suite a test binary, a case a test.

    cargo test ... 2>&1 | cargo_junit.py > junit.xml
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

BINARY = re.compile(r'^\s+Running (?:unittests )?(\S+)')
CASE = re.compile(r'^test (.+?) (?:- should panic )?\.\.\. (ok|FAILED|ignored)')


def main():
    suites = ElementTree.Element('testsuites')
    suite = None
    for line in sys.stdin:
        if binary := BINARY.match(line):
            suite = ElementTree.SubElement(suites, 'testsuite', name=binary.group(1))
        elif (case := CASE.match(line)) and suite is not None:
            name, outcome = case.groups()
            element = ElementTree.SubElement(suite, 'testcase', name=name)
            if outcome == 'FAILED':
                ElementTree.SubElement(element, 'failure', message='see the log')
            elif outcome == 'ignored':
                ElementTree.SubElement(element, 'skipped')
    ElementTree.ElementTree(suites).write(sys.stdout, encoding='unicode')


if __name__ == '__main__':
    main()

#!/usr/bin/env python3
"""docs/durability-matrix.md is what happens: runs .ci/durability-matrix --check.

    matrix_long.py PLUGPULL           from the top of the tree
    matrix_long.py PLUGPULL --long    and what the page says beside its tables; half a minute more

And that the check can fail: a page with one grade, token or number changed, and a reason whose
experiment or condition is wrong, must each be seen.
"""
import importlib.machinery
import importlib.util
import os
import subprocess
import sys

PROGRAM = '.ci/durability-matrix'


def load():
    """The program as a module, without leaving a compiled one beside it."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader('durability_matrix', PROGRAM)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def quietly(function, page):
    """How many checks of a page fail in `function`, without what they print."""
    before, check = page.failed, page.check

    def count(good, *_):
        page.failed += not good

    page.check = count
    try:
        function()
        return page.failed - before
    finally:
        page.check, page.failed = check, before


def check_page(m, page, good):
    with open(m.PAGE, encoding='utf-8') as f:
        text = f.read()
    parts = page.parts()
    good(m.up_to_date(text, parts, page.sqlite),
         f'{m.PAGE} is up to date; {PROGRAM} --write makes it so')
    # (With another SQLite than the page's only the tables are compared.)
    changes = [('consistent, 1 [C]', 'consistent, 2 [C]'),
               ('| `wal` | durable', '| `wal` | consistent, 1'),
               *([('pp1-', 'pp1-0'), ('Grade `corrupt`', 'Grade `torn`'),
                  ('| 4, 20 |', '| 4, 19 |')] if f'SQLite {page.sqlite}.' in text else [])]
    for old, new in changes:
        wrong = text.replace(old, new, 1)
        good(wrong != text and not m.up_to_date(wrong, parts, page.sqlite),
             f'a page with {new!r} for {old!r} is seen to be wrong')
    other = text.replace(f'SQLite {page.sqlite}.', 'SQLite 3.0.0.').replace('pp1-', 'pp1-0')
    good(m.up_to_date(other, parts, page.sqlite), 'tokens of another SQLite are passed over')
    wrong = other.replace('consistent, 3 [D]', 'durable [D]')
    good(not m.up_to_date(wrong, parts, page.sqlite), 'tables of another SQLite are not')
    for name in parts:
        wrong = text.replace(f'<!-- {name} -->', f'<!-- {name}', 1)
        good(m.fill(wrong, parts)[1] != set(parts), f'a page without its part {name!r} is seen')
    dead = text + '\n[nowhere](#nowhere) and [no page](no-page.md)\n'
    good(quietly(lambda: m.check_links(dead, page), page) == 2 and
         quietly(lambda: m.check_links(text, page), page) == 0, 'links that lead nowhere are seen')


def check_causes(m, page, good):
    good(quietly(page.explain, page) == 0, 'every cell has its cause')
    for cause in m.CAUSES:
        name, grade, when = f'cause {cause.letter}', cause.grade, cause.when
        cause.grade = 'torn'
        good(quietly(page.explain, page) > 0, f'{name} with another grade is seen')
        cause.grade = grade
        cause.when = lambda c: False
        good(quietly(page.explain, page) > 0, f'{name} left out is seen')
        cause.when = lambda c: True
        good(quietly(page.explain, page) > 0, f'{name} where another one holds is seen')
        cause.when = when
        cause.lost += 1
        good(quietly(page.explain, page) > 0, f'{name} with another number is seen')
        cause.lost -= 1
    quietly(page.explain, page)
    for cause in m.CAUSES:
        for x in cause.experiments:
            first = next(iter(x.expect))
            result, x.expect[first] = x.expect[first], 'torn'
            good(quietly(page.experiment, page) > 0, f'cause {cause.letter}: {x.text}: seen to fail')
            x.expect[first] = result
        kept, cause.experiments = cause.experiments, []
        good(quietly(page.experiment, page) > 0, f'cause {cause.letter} without a proof is seen')
        cause.experiments = kept
    c = page.cells['xfs', 'delete', 'full']
    c.final, c.lost = False, 2
    good(quietly(page.explain, page) == 2, 'a cell that is not exhaustive, or loses more, is seen')
    c.final, c.lost = True, 1


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ['--long']):
        print(__doc__, file=sys.stderr)
        return 2
    passed = failed = 0

    def good(ok, what):
        nonlocal passed, failed
        passed += bool(ok)
        failed += not ok
        if not ok:
            print(f'FAILED: {what}')

    if sys.argv[2:]:
        ran = subprocess.run([sys.executable, PROGRAM, '--check', '--long', sys.argv[1]],
                             stdout=subprocess.PIPE, text=True, check=False)
        print(ran.stdout, end='')
        return ran.returncode
    m = load()
    try:
        page = m.Page(os.path.abspath(sys.argv[1]))
        passed, failed = page.passed, page.failed
        check_page(m, page, good)
        check_causes(m, page, good)
    except m.Failed as e:
        good(False, str(e))
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())

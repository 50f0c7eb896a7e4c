#!/usr/bin/env python3
"""Reads a report with programs that are not ours, and finds in it what the JSON says.

    consumers_test.py PLUGPULL

junit.xml goes to xmllint and to junitparser; summary.md to cmark-gfm, GitHub's own renderer, with
raw HTML let through, so that what is taken for HTML shows; annotations.txt to a reader that follows
the GitHub runner's. The names and texts in the report try to be markup everywhere. The last line is
'N passed, N failed'.
"""
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

try:
    import junitparser
except ImportError:
    # A python3 that came another way does not see Debian's packages.
    if sys.executable != '/usr/bin/python3' and os.access('/usr/bin/python3', os.X_OK):
        os.execv('/usr/bin/python3', ['/usr/bin/python3', '-B', *sys.argv])
    print('FAIL  python3-junitparser is not installed (sh .ci/bootstrap)\n0 passed, 1 failed')
    sys.exit(1)

SQL = '''-- @scenario {title}
-- @pragma journal_mode=wal synchronous={level}
-- @setup
CREATE TABLE t(x);
-- @client c repeat=2
INSERT INTO t VALUES (:i);
-- @invariant "{title}"
SELECT 1 WHERE 0;
'''
HOSTILE = ['a|b', '<script>alert(1)</script>'.replace('/', '_'), '`code` *bold* _it_ ~~no~~',
           '[link](javascript:x)', '![img](x)', '&lt;&amp;', "it's \\ \\| here", '- [ ] task', '1. one',
           '# heading', 'https:||example.invalid', '<!-- comment', '\u202eright to left',
           ']]>', '::error::x', 'a,b:c%d', '$(touch gone)', 'plain', 'é', ' blank ', '| - | - |',
           # Printable UTF-8, and neither can stand in XML.
           'n\ufffe', 'n\uffff']
# What these lose leaves room for the other annotations.
DURABLE = {'![img](x)', '# heading', "it's \\ \\| here", '- [ ] task', '1. one', '<!-- comment',
           '<script>alert(1)<_script>', 'n\ufffe', 'n\uffff'}
# The name of a scenario is printable UTF-8; a command line is any bytes.
PROGRAM = b'sqlite3 a.db "CREATE TABLE t(x)"; sqlite3 a.db "INSERT INTO t VALUES (1)"'
ARGUMENT = b'<b>|\n::error::x\x01\x1b[31m`\xff\r'
GITHUB_ANNOTATIONS, GITHUB_SUMMARY, GITLAB_JUNIT = 10, 1 << 20, 30_000_000


class Counter:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, what, got=''):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAIL  {what}: {str(got)[:1500]}')

    def same(self, what, expected, got):
        self.check(expected == got, what, f'expected {expected!r}, got {got!r}')


def run(argv, **options):
    try:
        return subprocess.run(argv, stdin=options.pop('stdin', subprocess.DEVNULL),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, **options)
    except FileNotFoundError:
        return subprocess.CompletedProcess(argv, 127, b'', f'{argv[0]}: not installed '
                                           f'(sh .ci/bootstrap)'.encode())


def clean(text):
    """As every report shows a text: on one line, harmless to a terminal."""
    text = re.sub('[\n\r\t\u2028\u2029]', ' ', text)
    return re.sub('[\x00-\x1f\x7f-\x9f\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]', '\ufffd', text)


def make_report(plugpull, folder):
    os.mkdir(os.path.join(folder, 's'))
    for name in HOSTILE:
        title = re.sub('[\x00-\x1f\x7f"]', ' ', name).strip()
        path = os.path.join(folder, 's', name + '.sql')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(SQL.format(title=title, level='full' if name in DURABLE else 'normal'))
    with open(os.path.join(folder, 's', 'plugpull.waivers'), 'w', encoding='utf-8') as f:
        f.write('plain@strict-posix history 2 2199-01-01 "<b>known</b> | `issue` 12"\n')
    return run([plugpull, 'run', 's', '--report', 'out', '-q'], cwd=folder)


def test_report(plugpull, folder):
    return run([plugpull, 'test', '--require', 'durable', '--report', 'program', '-q', '--', 'sh',
                '-c', PROGRAM, ARGUMENT], cwd=folder)


# ---- JUnit

def check_junit(t, path, cases, program=False):
    ran = run(['xmllint', '--noout', '--nonet', path])
    t.check(ran.returncode == 0, 'xmllint accepts junit.xml', ran.stderr)
    t.check(os.path.getsize(path) < GITLAB_JUNIT, "below GitLab's size")
    tests = [test for suite in junitparser.JUnitXml.fromfile(path) for test in suite]
    t.same('junitparser: a test for each case', len(cases), len(tests))
    keys = [(test.classname, test.name) for test in tests]
    t.same('classname and name are there once', len(keys), len(set(keys)))
    for case, test in zip(cases, tests):
        kinds = sorted(type(r).__name__.lower() for r in test.result)
        wanted = {'held': [], 'violated': ['failure'], 'inconclusive': ['failure'],
                  'error': ['error'], 'skipped': ['skipped']}[case['verdict']]
        t.same(f'junitparser: the outcome of {case["id"]!r}', wanted, kinds)
        given = f'{test.classname}@{test.name}'
        if '\ufffd' not in given:
            t.same('classname and name are the id', case['id'], given)
        t.same('the file is that of the case, or there is none', None if program else
               's/' + re.sub('[\ufffe\uffff]', '\ufffd', case['scenario']) + '.sql',
               test._elem.get('file'))  # pylint: disable=protected-access
        for violation in case['violations']:
            if 'waived' not in violation:
                text = ''.join(r._elem.text or '' for r in test.result)  # pylint: disable=protected-access
                t.check(violation['token'] in text and violation['message'] in text,
                        f'the failure of {case["id"]!r} has its finding and token', text)


# ---- Markdown

class Page(html.parser.HTMLParser):
    """The tags of a page, the rows of its table as texts, and the rest as text."""

    def __init__(self):
        super().__init__()
        self.tags, self.rows, self.text, self.links = set(), [], '', []
        self.cell = None

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ('href', 'src')]
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th'):
            self.cell = ''

    def handle_endtag(self, tag):
        if tag in ('td', 'th'):
            self.rows[-1].append(self.cell)
            self.cell = None

    def handle_comment(self, data):
        self.tags.add('!--')

    def handle_data(self, data):
        self.text += data
        if self.cell is not None:
            self.cell += data


def check_markdown(t, path, cases, waived=True):
    t.check(os.path.getsize(path) < GITHUB_SUMMARY, "below GitHub's size")
    ran = run(['cmark-gfm', '--unsafe', '-e', 'table', '-e', 'autolink', '-e', 'strikethrough', '-e',
               'tasklist', '-e', 'footnotes', path])
    if ran.returncode != 0:
        t.check(False, 'cmark-gfm renders summary.md', ran.stderr)
        return
    page = Page()
    page.feed(ran.stdout.decode())
    t.same('only the tags that the report means', set(),
           page.tags - {'h1', 'h2', 'p', 'ul', 'li', 'code', 'table', 'thead', 'tbody', 'tr', 'th',
                        'td'})
    t.same('no link and no image', [], page.links)
    t.same('a row for each case', len(cases) + 1, len(page.rows))
    t.same('of five cells each', {5}, set(map(len, page.rows)))
    # A code span has its blanks folded by whoever shows it.
    fold = lambda s: re.sub(' +', ' ', s).strip()  # noqa: E731
    shown = sorted((row[0], fold(row[3])) for row in page.rows[1:])
    t.same('each case by its id, as text', sorted((c['verdict'], fold(clean(c['id']))) for c in cases),
           shown)
    t.check(not waived or '<b>known</b> | `issue` 12' in page.text, 'the reason of a waiver, as text', page.text)
    tokens = {v['token'] for c in cases for v in c['violations']}
    t.same('every token is there', set(), {token for token in tokens if token not in page.text})


# ---- annotations

def unescape(text, pairs):
    """As the runner's ActionCommand does, in its order."""
    for escaped, plain in pairs:
        text = text.replace(escaped, plain)
    return text


def read_command(line):
    match = re.fullmatch(r'::([a-z-]+)(?: ([^\n]*?))?::(.*)', line)
    data = [('%0D', '\r'), ('%0A', '\n'), ('%25', '%')]
    properties = {}
    for pair in (match.group(2) or '').split(','):
        name, _, value = pair.partition('=')
        properties[name] = unescape(value, [('%0D', '\r'), ('%0A', '\n'), ('%3A', ':'),
                                            ('%2C', ','), ('%25', '%')])
    return match.group(1), properties, unescape(match.group(3), data)


def check_annotations(t, path, cases, folder):
    with open(path, encoding='utf-8', newline='\n') as f:
        lines = f.read().splitlines()
    failed = [c for c in cases if c['verdict'] != 'held']
    t.check(any('a%2Cb%3Ac%25d' in line for line in lines), 'what is escaped is among them', lines)
    t.check(len(failed) > GITHUB_ANNOTATIONS, 'more cases fail than GitHub shows', len(failed))
    t.same('no more than GitHub shows', GITHUB_ANNOTATIONS, len(lines))
    ids = {clean(c['id']): c for c in failed}
    for line in lines[:-1]:
        command, properties, message = read_command(line)
        case = ids.get(properties.get('title'))
        t.same('a command to the runner', 'error', command)
        t.check(case is not None, 'the title is the id', line)
        if case is not None:
            t.check(case['violations'][0]['token'] in message, 'it has the token', message)
        t.same('the line that allows it', '2', properties.get('line'))
        name = properties.get('file', '')
        t.check('\ufffd' in name or '\n' in (case or {'id': ''})['id'] or
                os.path.exists(os.path.join(folder, name)), 'the file is there', name)
    command, properties, message = read_command(lines[-1])
    t.same('the last one counts the others', f'{len(failed) - 9} more cases failed; all are in the '
           'report', message)


def cases_of(out):
    with open(os.path.join(out, 'result.json'), encoding='utf-8') as f:
        return json.load(f)['cases']


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    t = Counter()
    folder = tempfile.mkdtemp(prefix='plugpull-consumers-')
    try:
        ran = make_report(os.path.abspath(sys.argv[1]), folder)
        t.same('the run ends with 1', (1, b''), (ran.returncode, ran.stderr))
        out = os.path.join(folder, 'out')
        cases = cases_of(out)
        t.same('a case for each file', len(HOSTILE), len(cases))
        check_junit(t, os.path.join(out, 'junit.xml'), cases)
        check_markdown(t, os.path.join(out, 'summary.md'), cases)
        check_annotations(t, os.path.join(out, 'annotations.txt'), cases, folder)
        ran = test_report(os.path.abspath(sys.argv[1]), folder)
        t.check(ran.returncode == 1, 'the program loses a commit', ran)
        out = os.path.join(folder, 'program')
        cases = cases_of(out)
        check_junit(t, os.path.join(out, 'junit.xml'), cases, program=True)
        check_markdown(t, os.path.join(out, 'summary.md'), cases, waived=False)
        with open(os.path.join(out, 'annotations.txt'), encoding='utf-8', newline='\n') as f:
            lines = f.read().split('\n')
        t.same('one annotation', 2, len(lines))
        t.same('of the program', clean(cases[0]['id']), read_command(lines[0])[1]['title'])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f'{t.passed} passed, {t.failed} failed')
    return 1 if t.failed or not t.passed else 0


if __name__ == '__main__':
    sys.exit(main())

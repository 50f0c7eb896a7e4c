#!/usr/bin/env python3
"""docs/tutorial.md: every command on the page is run, in order, and says what the page shows.

    tutorial_test.py PLUGPULL [--write FILE]

A block after "<!-- file: NAME -->" is that file. In a block of ```console a line that begins with
"$ " is a command, one that begins with "> " goes on with it, and what follows is its output, on
stdout and stderr together. A line "..." stands for any number of lines. Tokens hold what a machine
drew at random, so they are only the same ones in the same places; the page's folder is one of the
same length here, since lines are broken by length. --write puts what was printed into FILE, for
whoever changes the page. The last line is 'N passed, N failed'.
"""
import os
import random
import re
import shutil
import string
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
PAGE = 'docs/tutorial.md'
FOLDER = '/tmp/shop'
SECONDS = 100
TOKEN = re.compile(r'pp1-[0-9a-f]{32}')


class Step:
    def __init__(self, kind, name, line):
        self.kind, self.name, self.line, self.text = kind, name, line, []


def steps(path):
    """Files and commands, in the order of the page."""
    found, fence, file, number = [], None, None, 0
    with open(path, encoding='utf-8') as page:
        for number, line in enumerate(page.read().split('\n'), 1):
            named = re.fullmatch(r'<!-- file: (\S+) -->', line)
            if fence is None and named:
                file = named[1]
            elif fence is None and line.startswith('```'):
                fence = line[3:].split(' ')[0] or 'text'
                if file is not None:
                    found.append(Step('file', file, number))
                    fence, file = 'file', None
            elif fence is not None and line == '```':
                fence = None
            elif fence == 'file':
                found[-1].text.append(line)
            elif fence == 'console' and line.startswith('$ '):
                found.append(Step('command', line[2:], number))
            elif fence == 'console' and line.startswith('> ') and not found[-1].text:
                found[-1].name += '\n' + line[2:]
            elif fence == 'console':
                found[-1].text.append(line)
    assert fence is None and file is None, f'{path}:{number}: a block does not end'
    return found


def matches(wanted, got):
    """Whether the lines are those of the page, where '...' is any number of lines."""
    if not wanted:
        return not got
    if wanted[0] == '...':
        return any(matches(wanted[1:], got[i:]) for i in range(len(got) + 1))
    return bool(got) and wanted[0] == got[0] and matches(wanted[1:], got[1:])


class Tutorial:
    def __init__(self, plugpull, folder):
        self.folder, self.tokens = folder, {}
        self.env = dict(os.environ, PATH=os.path.dirname(plugpull) + ':' + os.environ['PATH'],
                        LC_ALL='C.UTF-8', PYTHONDONTWRITEBYTECODE='1')
        for name in ('NO_COLOR', 'SOURCE_DATE_EPOCH', 'PLUGPULL_MARK'):
            self.env.pop(name, None)

    def run(self, command):
        """The lines that it prints, in the words of the page."""
        for page, here in self.tokens.items():
            command = command.replace(page, here)
        command = command.replace(FOLDER, self.folder)
        done = subprocess.run(['bash', '-c', command], cwd=self.folder, env=self.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
        return done.stdout.replace(self.folder, FOLDER).rstrip('\n').split('\n') \
            if done.stdout.strip('\n') else []

    def name_tokens(self, wanted, got):
        """A token that is new on the page is the next one that is new here."""
        new = [t for t in TOKEN.findall('\n'.join(got)) if t not in self.tokens.values()]
        new = list(dict.fromkeys(new))
        for token in dict.fromkeys(TOKEN.findall('\n'.join(wanted))):
            if token not in self.tokens and new:
                self.tokens[token] = new.pop(0)
        here = {here: page for page, here in self.tokens.items()}
        return [TOKEN.sub(lambda m: here.get(m[0], m[0]), line) for line in got]


def same_length_folder():
    while True:
        tail = ''.join(random.choices(string.ascii_lowercase, k=len(FOLDER) - len('/tmp/')))
        try:
            os.mkdir('/tmp/' + tail, 0o700)
            return '/tmp/' + tail
        except FileExistsError:
            continue


def main():
    plugpull = os.path.abspath(sys.argv[1])
    write = open(sys.argv[3], 'w', encoding='utf-8') if sys.argv[2:3] == ['--write'] else None
    passed = failed = 0
    folder = same_length_folder()
    tutorial = Tutorial(plugpull, folder)
    try:
        for step in steps(os.path.join(TOP, PAGE)):
            if step.kind == 'file':
                path = os.path.join(folder, step.name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, 'w', encoding='utf-8') as f:
                    f.write('\n'.join(step.text) + '\n')
                continue
            got = tutorial.run(step.name)
            got = tutorial.name_tokens(step.text, got)
            if write:
                write.write(f'$ {step.name}\n' + ''.join(line + '\n' for line in got))
            wanted = step.text
            while wanted and not wanted[-1]:
                wanted = wanted[:-1]
            if matches(wanted, got):
                passed += 1
                continue
            failed += 1
            print(f'{PAGE}:{step.line}: $ {step.name}')
            print('\n'.join(f'  page | {line}' for line in wanted))
            print('\n'.join(f'  here | {line}' for line in got))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/env python3
"""Completes command lines of plugpull in real shells, with the files that `make` made for them.

    completion_test.py PLUGPULL               bash
    completion_test.py PLUGPULL SHELL...      these: bash, zsh, fish

Each shell is asked the same: for a command line, what can stand next. bash calls the function that it
was told of, as it would at a Tab; fish is asked by `complete -C`; zsh runs on a terminal, gets the
keys, and is asked what it offers by a function around `compadd`.
"""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

ZSH_SECONDS = 20
BASH = r'''
. "$1"
while IFS= read -r line; do
	read -ra COMP_WORDS <<<"$line"
	[[ $line == *' ' ]] && COMP_WORDS+=('')
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
	"$(complete -p plugpull | sed 's/.*-F \([^ ]*\).*/\1/')" plugpull "${COMP_WORDS[COMP_CWORD]}" \
		"${COMP_WORDS[COMP_CWORD - 1]}"
	printf '%s\n' "${COMPREPLY[@]}" .
done
'''
FISH = 'source $argv[1]; while read -l line; complete -C $line; echo .; end'
# What is offered goes to a file, and nothing is inserted.
ZSH = r'''
PS1='ready> '
fpath=(%s $fpath)
autoload -Uz compinit
compinit -u -D
unsetopt list_beep
offered() {
	local -a found
	builtin compadd -O found "$@"
	print -rl -- $found >>$OFFERED
	return 1
}
show() {
	functions[compadd]=$functions[offered]
	_main_complete
	unfunction compadd
	print -r -- . >>$OFFERED
	compstate[insert]= compstate[list]=
}
zle -C show complete-word show
bindkey '^I' show
'''


def ask_bash(path, lines, folder):
    done = subprocess.run(['bash', '--norc', '-c', BASH, 'bash', path], cwd=folder, check=False,
                          input=''.join(f'{line}\n' for line in lines), encoding='utf-8',
                          stdout=subprocess.PIPE)
    return done.stdout


def ask_fish(path, lines, folder):
    done = subprocess.run(['fish', '--no-config', '-c', FISH, path], cwd=folder, check=False,
                          input=''.join(f'{line}\n' for line in lines), encoding='utf-8',
                          stdout=subprocess.PIPE)
    return re.sub(r'\t.*', '', done.stdout)


def ask_zsh(path, lines, folder):
    offered = os.path.join(folder, '.offered')
    with open(offered, 'w', encoding='utf-8'):
        pass
    with open(os.path.join(folder, '.zshrc'), 'w', encoding='utf-8') as f:
        f.write(ZSH % os.path.dirname(path))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.environ.update(ZDOTDIR=folder, OFFERED=offered, TERM='dumb')
        os.execvp('zsh', ['zsh', '-o', 'no_global_rcs', '-i'])

    def wait(done):
        end = time.monotonic() + ZSH_SECONDS
        seen = b''
        while not done(seen) and time.monotonic() < end:
            if select.select([terminal], [], [], 0.02)[0]:
                seen += os.read(terminal, 65536)

    def answers():
        with open(offered, encoding='utf-8') as f:
            return re.findall(r'^\.$', f.read(), re.M)

    wait(lambda seen: b'ready>' in seen)
    for i, line in enumerate(lines):
        os.write(terminal, line.encode() + b'\t')
        wait(lambda _, i=i: len(answers()) > i)
        os.write(terminal, b'\x15')
    os.write(terminal, b'exit\n')
    os.close(terminal)
    os.waitpid(pid, 0)
    with open(offered, encoding='utf-8') as f:
        return f.read()


SHELLS = {'bash': (ask_bash, 'plugpull.bash'), 'zsh': (ask_zsh, '_plugpull'),
          'fish': (ask_fish, 'plugpull.fish')}


class Test:
    def __init__(self, plugpull):
        self.plugpull = os.path.abspath(plugpull)
        self.share = os.path.join(os.path.dirname(self.plugpull), 'share')
        self.passed = self.failed = 0

    def check(self, good, what, found):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f'FAIL  {what}: {found}')

    def help(self, *words):
        return subprocess.run([self.plugpull, *words, '--help'], encoding='utf-8', check=True,
                              stdout=subprocess.PIPE).stdout

    def questions(self):
        """Pairs of a command line and what must be offered, among other things or alone."""
        front = self.help().split('Options:')[0]
        commands = re.findall(r'^  ([a-z]+) ', front, re.M)
        models = re.findall(r'^([a-z0-9-]+)$',
                            subprocess.run([self.plugpull, 'list', 'models'], encoding='utf-8',
                                           check=True, stdout=subprocess.PIPE).stdout, re.M)
        self.check(len(commands) > 10 and len(models) > 8, 'what there is', (commands, models))
        for command in commands:
            options = re.findall(r'^ .*?(--[a-z-]+)', self.help(command), re.M)
            yield f'plugpull {command} --', options, command not in ('test', 'record', 'kill')
        yield 'plugpull ', commands, False
        yield 'plugpull ru', ['run'], True
        yield 'plugpull run --require ', ['durable', 'consistent', 'torn', 'corrupt'], True
        yield 'plugpull run --model ', models, True
        yield 'plugpull run --model xfs,ext4-o', ['xfs,ext4-ordered'], True
        yield 'plugpull test --ack ', ['lock', 'output', 'mark'], True
        yield 'plugpull run --depth ', ['1', '2'], True
        yield 'plugpull run --color a', ['auto', 'always'], True
        yield 'plugpull trace ', ['show', 'stat', 'import'], False
        yield 'plugpull list ', ['models', 'defects', 'scenarios'], True
        yield 'plugpull replay pp1-ab', ['pp1-ab01'], True
        yield 'plugpull run --seed ', [], True

    def shell(self, name):
        ask, file = SHELLS[name]
        questions = list(self.questions())
        with tempfile.TemporaryDirectory(prefix='plugpull-completion-') as folder:
            os.makedirs(os.path.join(folder, '.plugpull/cases'))
            for token in ('pp1-ab01', 'pp1-cd02'):
                with open(os.path.join(folder, f'.plugpull/cases/{token}.ppcase'), 'w',
                          encoding='utf-8'):
                    pass
            path = os.path.join(self.share, file)
            if name == 'zsh':
                os.mkdir(os.path.join(folder, '.functions'))
                path = shutil.copy(path, os.path.join(folder, '.functions'))
            text = ask(path, [q[0] for q in questions], folder)
        answers = [a.split('\n') for a in re.split(r'^\.\n', text, flags=re.M)][:-1]
        self.check(len(answers) == len(questions), f'{name} answers', text[-500:])
        for (line, expected, alone), answer in zip(questions, answers):
            found = {word.rstrip(' =') for word in answer if word != ''}
            if name == 'zsh': # it keeps what is before the comma to itself
                expected = [word.split(',')[-1] for word in expected]
            good = found == set(expected) if alone else found >= set(expected)
            self.check(good, f"{name}: '{line}'", f'{sorted(found)}, not {sorted(expected)}')


def main(argv):
    if not argv or not set(argv[1:]) <= set(SHELLS):
        print(__doc__, file=sys.stderr)
        return 2
    test = Test(argv[0])
    for name in argv[1:] or ['bash']:
        test.shell(name)
    print(f'{test.passed} passed, {test.failed} failed')
    return 1 if test.failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

"""`init`: what it writes, that it holds, and that it touches nothing else."""
import os

FILES = ['.github/workflows/durability.yml', 'durability/first.sql', 'durability/gitlab-ci.yml']


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(path, name), folder)
                  for path, _, names in os.walk(folder) for name in names)


def check_green(t):
    folder = t.folder()
    ran = t.run('init', cwd=folder)
    t.same('init', ran, (0, '', FILES), (ran.code, ran.err, files_below(folder)))
    t.check(all(name in ran.out for name in FILES) and 'plugpull run durability/' in ran.out,
            'it says what it wrote and what comes next', ran, FILES, ran.out)
    ran = t.run('run', 'durability/', '--json', '-', cwd=folder)
    t.same('green on the first run', ran, (0, 'durable', True, 'held'),
           (ran.code, ran.case()['grade'], ran.case()['exhaustive'], ran.case()['verdict']))
    # What the comments of the scenario promise.
    path = os.path.join(folder, 'durability', 'first.sql')
    with open(path, encoding='utf-8') as f:
        text = f.read()
    t.write(folder, 'durability/first.sql',
            text.replace('@pragma journal_mode=wal synchronous=full',
                         '@pragma journal_mode=wal synchronous=normal'))
    ran = t.run('run', 'durability/', '--json', '-', cwd=folder)
    t.same('with synchronous=normal it fails', ran, (1, 'consistent'),
           (ran.code, ran.case()['grade']))
    ran = t.run('mutate', 'durability/', '--set', 'synchronous=full', '--json', '-', cwd=folder)
    t.check(ran.code == 0 and ran.case()['score']['caught'] >= 5 and
            ran.case()['score']['missed'] == 0, 'and it would notice a forgotten sync', ran,
            'caught', ran.case().get('score'))


def check_careful(t):
    folder = t.folder()
    os.mkdir(os.path.join(folder, 'project'))
    ran = t.run('init', 'project', cwd=folder)
    t.same('init DIR', ran, (0, FILES), (ran.code, files_below(os.path.join(folder, 'project'))))
    t.has('... says where to go', ran, 'cd project && plugpull run durability/', ran.out)
    for name in FILES:
        folder = t.folder()
        t.write(folder, name, 'mine')
        t.refused(f'{name} exists', t.run('init', cwd=folder), name)
        t.same('... and nothing was written', ran, [name], files_below(folder))
        with open(os.path.join(folder, name), encoding='utf-8') as f:
            t.same('... nor replaced', ran, 'mine', f.read())
    folder = t.folder()
    t.write(folder, '.github/workflows/other.yml', 'mine')
    t.write(folder, 'durability/bank.sql', 'mine')
    ran = t.run('init', cwd=folder)
    t.same('beside what is there already', ran, (0, sorted([
        *FILES, '.github/workflows/other.yml', 'durability/bank.sql'])),
           (ran.code, files_below(folder)))
    folder = t.folder()
    os.symlink('/dev/full', os.path.join(folder, 'x'))
    os.mkdir(os.path.join(folder, 'durability'))
    os.symlink('nowhere', os.path.join(folder, 'durability', 'first.sql'))
    t.refused('a link that leads nowhere is a file, too', t.run('init', cwd=folder), 'first.sql')
    t.refused('no such folder', t.run('init', 'nosuch', cwd=t.folder()), "'nosuch'")
    folder = t.folder()
    t.write(folder, '.github', 'a file')
    t.refused('a file where a folder must be', t.run('init', cwd=folder), '.github')
    t.same('... and what was written is taken back', ran, ['.github'], files_below(folder))
    t.same('... with its folders', ran, ['.github'], os.listdir(folder))
    t.refused('DIR is a file', t.run('init', '.github', cwd=folder), '.github')
    t.refused('two folders', t.run('init', 'a', 'b', cwd=folder), "'b'")
    if os.geteuid() != 0:
        folder = t.folder()
        os.chmod(folder, 0o500)
        t.refused('a folder that may not be written', t.run('init', folder), folder)


def check(t):
    for part in (check_green, check_careful):
        t.part(part)

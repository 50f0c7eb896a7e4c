#!/usr/bin/env python3
"""The HTML report in a real browser: Debian's Chromium, driven by playwright-core.

    reports/test/browser/browser.py [--build DIR] [--shots DIR]

Part of `make check-real`. Pages come from DIR/test/test_html (build it first), which writes those of
the results made by hand in reports/test/stories.c. What npm fetches goes to DIR/real/browser, once.
--shots writes a picture of every page, light, dark and narrow, for a person to look at. The last
line is 'N passed, N failed'; exit status 1 when something failed, 2 when it could not be run.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
PACKAGES = {'playwright-core': '1.65.1', 'axe-core': '4.14.1'}
SECONDS = 600


def fetch(folder):
    """The folder that has node_modules of exactly these versions."""
    os.makedirs(folder, exist_ok=True)
    stamp = os.path.join(folder, '-'.join(f'{n}@{v}' for n, v in sorted(PACKAGES.items())))
    if not os.path.exists(stamp):
        shutil.rmtree(os.path.join(folder, 'node_modules'), ignore_errors=True)
        with open(os.path.join(folder, 'package.json'), 'w', encoding='utf-8') as f:
            f.write('{"private": true}\n')
        # playwright-core brings no browser of its own, and must not try to fetch one.
        subprocess.run(['npm', 'install', '--no-package-lock', '--no-audit', '--no-fund', '--silent',
                        '--ignore-scripts', *(f'{n}@{v}' for n, v in PACKAGES.items())],
                       cwd=folder, check=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
        open(stamp, 'w', encoding='utf-8').close()
    return folder


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument('--build', default=os.path.join(TOP, 'build'))
    parser.add_argument('--shots')
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    writer = os.path.join(build, 'test', 'test_html')
    chromium = shutil.which('chromium')
    if chromium is None or not os.path.exists(writer):
        print(f'browser.py: {"chromium is not installed" if chromium is None else writer + " is not built"}',
              file=sys.stderr)
        return 2
    try:
        modules = fetch(os.path.join(build, 'real', 'browser'))
    except (OSError, subprocess.SubprocessError) as e:
        print(f'browser.py: npm: {e}', file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as pages:
        subprocess.run([writer, pages], check=True)
        command = ['node', os.path.join(HERE, 'page_test.mjs'), modules, pages, chromium]
        if args.shots:
            os.makedirs(args.shots, exist_ok=True)
            command.append(os.path.abspath(args.shots))
        return subprocess.run(command, check=False, timeout=SECONDS).returncode


if __name__ == '__main__':
    sys.exit(main())

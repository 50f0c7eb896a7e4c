/*
 * What the tests of the page stand on: a browser, a page per test, and the rule that a page says
 * nothing on the console, fails nowhere, and asks for nothing but itself.
 */
import {createRequire} from 'node:module';
import path from 'node:path';

export class Harness {
	constructor(modules, pages, executablePath) {
		const require = createRequire(path.join(modules, 'package.json'));

		this.chromium = require('playwright-core').chromium;
		this.axe = require.resolve('axe-core/axe.min.js');
		this.pages = pages;
		this.executablePath = executablePath;
		this.passed = this.failed = 0;
	}

	async start() {
		/* Its sandbox cannot be set up by root, as which CI often runs. */
		const args = process.getuid() === 0 ? ['--no-sandbox'] : [];

		this.browser = await this.chromium.launch({executablePath: this.executablePath, args});
	}

	async stop() {
		await this.browser.close();
		console.log(`${this.passed} passed, ${this.failed} failed`);
		return this.failed > 0 || this.passed === 0 ? 1 : 0;
	}

	url(name, hash = '') {
		return `file://${path.join(this.pages, name + '.html')}${hash}`;
	}

	/* Opens a page of its own for `body(page, t)`; `options` are playwright's, and `loud`: the test
	 * itself looks at what the page said (t.said). */
	async test(title, options, body) {
		const {loud, init, ...rest} = options;
		const context = await this.browser.newContext({viewport: {width: 1280, height: 900}, ...rest});
		const said = [], complaints = [];
		const page = await context.newPage();

		page.setDefaultTimeout(10000);
		if (init)
			await page.addInitScript(init);
		page.on('console', (message) => said.push(`console: ${message.text()}`));
		page.on('pageerror', (e) => said.push(`error: ${e.message}`));
		page.on('dialog', (dialog) => {
			said.push(`dialog: ${dialog.message()}`);
			dialog.dismiss();
		});
		page.on('request', (request) => {
			const url = request.url();

			if (!url.startsWith(`file://${this.pages}/`) && !url.startsWith('data:'))
				said.push(`request: ${url}`);
		});
		const t = {
			said, page,
			open: (name, hash) => page.goto(this.url(name, hash)),
			ok(condition, what) {
				if (!condition)
					complaints.push(what);
			},
			same(found, expected, what) {
				const a = JSON.stringify(found), b = JSON.stringify(expected);

				if (a !== b)
					complaints.push(`${what}: found ${a}, expected ${b}`);
			},
		};

		try {
			await body(page, t);
		} catch (e) {
			complaints.push(e.stack.split('\n').slice(0, 6).join('\n'));
		}
		if (!loud)
			complaints.push(...said);
		await context.close();
		if (complaints.length === 0) {
			this.passed++;
			console.log(`ok    ${title}`);
			return;
		}
		this.failed++;
		console.log(`FAIL  ${title}`);
		for (const complaint of complaints.slice(0, 20))
			console.log(`      | ${complaint.slice(0, 600).replaceAll('\n', '\n      | ')}`);
	}
}

'use strict';

/*
 * Runs before the first paint: light or dark, so that a dark page never flashes white, and the class
 * that hides the table for readers without scripts. Should the other script fail before it has
 * shown anything, that table comes back.
 *
 * data-theme of the root is what was chosen, if anything was; data-scheme is what it comes to.
 */
const systemDark = matchMedia('(prefers-color-scheme: dark)');

function schemeApply() {
	const root = document.documentElement;

	root.dataset.scheme = root.dataset.theme || (systemDark.matches ? 'dark' : 'light');
	document.dispatchEvent(new Event('themechange'));
}

(function boot() {
	const root = document.documentElement;

	try {
		const theme = localStorage.getItem('plugpull-theme');

		if (theme === 'light' || theme === 'dark')
			root.dataset.theme = theme;
	} catch (e) {
		/* A browser may forbid storage to files: the system's theme is used. */
	}
	schemeApply();
	systemDark.addEventListener('change', schemeApply);
	root.classList.add('scripted');
	window.addEventListener('error', () => {
		if (!document.querySelector('#app > *'))
			root.classList.remove('scripted');
	});
})();

// What both pages share: a tip beside the pointer, copying, finding, and the test of every control.
'use strict';

const report = (() => {
  // Whatever goes wrong on the page is a failure of its test.
  const troubles = [];
  addEventListener('error', (event) => troubles.push('error: ' + event.message));
  addEventListener('unhandledrejection', (event) => troubles.push('rejection: ' + event.reason));
  addEventListener('securitypolicyviolation', (event) => troubles.push('policy: ' + event.violatedDirective));
  const printError = console.error.bind(console);
  console.error = (...words) => {
    troubles.push('console.error: ' + words.join(' '));
    printError(...words);
  };

  document.documentElement.classList.add('js');
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const controls = (name) => all('[data-control="' + name + '"]');
  const data = JSON.parse(document.getElementById('data').textContent);

  // A tip at a place of the window. It is hidden by whoever has shown it, and by Escape.
  const tip = document.getElementById('tip');
  const showTip = (lines, x, y) => {
    tip.replaceChildren(...lines.filter(Boolean).map((line, at) => {
      const part = document.createElement(at === 0 ? 'b' : 'span');
      part.textContent = line;
      return part;
    }));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = Math.max(8, Math.min(x + 14, innerWidth - box.width - 8));
    const top = y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18;
    tip.style.left = left + 'px';
    tip.style.top = Math.max(8, top) + 'px';
  };
  const hideTip = () => { tip.hidden = true; };
  addEventListener('keydown', (event) => { if (event.key === 'Escape') hideTip(); });

  // Shows of some rows those that hold every word.
  const find = (rows, text) => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const own = row.textContent.toLowerCase();
      row.classList.toggle('unfound', !words.every((word) => own.includes(word)));
    }
  };

  // On a host the bundle's true path is known: the command is shown with it.
  if (location.protocol === 'file:') {
    const folder = decodeURIComponent(location.pathname).replace(/\/[^/]*$/, '');
    const at = folder.lastIndexOf('/findings/');
    const path = at < 0 ? folder : folder.slice(at + 1);
    const quoted = /^[\w.\/-]+$/.test(path) ? path : "'" + path.replaceAll("'", "'\\''") + "'";
    const name = folder.split('/').pop();
    for (const code of all('.commands code')) {
      code.textContent = code.textContent.replace(/^(cargo stormglass (?:replay|shrink) )(\S+)/,
        (whole, command, word) => (word === name ? command + quoted : whole));
    }
  }

  const copy = (button) => {
    const code = button.parentElement.querySelector('code');
    getSelection().selectAllChildren(code);
    const told = (word) => {
      button.textContent = word;
      setTimeout(() => { button.textContent = 'Copy'; }, 1500);
    };
    told('Marked');
    if (navigator.clipboard) {
      navigator.clipboard.writeText(code.textContent).then(() => told('Copied'), () => {});
    }
  };
  for (const button of controls('copy')) button.addEventListener('click', () => copy(button));

  // The test of the page: each control has one, and one without is a failure.
  const tests = new Map();
  const test = (name, work) => tests.set(name, work);
  const check = (holds, words) => { if (!holds) throw new Error(words); };
  test('copy', (button) => {
    button.click();
    const code = button.parentElement.querySelector('code');
    check(getSelection().toString() === code.textContent, 'the command is not marked');
    check(button.textContent !== 'Copy', 'nothing is said');
  });
  const selfTest = () => {
    const failed = [];
    let count = 0;
    for (const control of all('[data-control]')) {
      const name = control.dataset.control;
      const work = tests.get(name);
      // Of many equal ones, as rows are, the first, the last and every hundredth.
      const equal = controls(name);
      const at = equal.indexOf(control);
      if (equal.length > 20 && at > 0 && at < equal.length - 1 && at % 100 !== 0) continue;
      count += 1;
      try {
        check(work, 'has no test');
        work(control);
      } catch (error) {
        failed.push(name + ': ' + error.message);
      }
    }
    for (const closed of all('details:not([open])')) {
      closed.querySelector('summary').click();
      count += 1;
      if (!closed.open) failed.push('details: one does not open');
    }
    for (const link of all('nav a, .skip')) {
      count += 1;
      if (!document.querySelector(link.getAttribute('href'))) failed.push('link: ' + link.textContent);
    }
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide > 0) failed.push('the page is ' + wide + ' px wider than the window');
    if (count === 0) failed.push('nothing was tested');
    const result = document.createElement('pre');
    result.id = 'selftest';
    const bad = failed.concat(troubles);
    result.textContent = bad.length === 0 ? 'ok: ' + count + ' controls' : 'FAILED: ' + bad.join('\n');
    document.body.append(result);
  };
  addEventListener('load', () => { if (location.search === '?selftest') selfTest(); });

  return { all, controls, data, showTip, hideTip, find, test, check };
})();

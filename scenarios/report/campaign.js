// A campaign's page: tables that are sorted, rows that are found, bars that say what they are.
(() => {
  const { all, controls, showTip, hideTip, find, test, check } = report;

  // Sorting: a button in each head; numbers by size, the most first.
  const value = (row, at) => {
    const text = row.cells[at].textContent.trim();
    const number = parseFloat(text);
    return Number.isNaN(number) ? text : number;
  };
  const sort = (table, at, goesUp) => {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const order = (one, other) => {
      const [a, b] = [value(one, at), value(other, at)];
      if (typeof a !== typeof b) return typeof a === 'number' ? 1 : -1;
      return typeof a === 'number' ? a - b : a.localeCompare(b);
    };
    rows.sort((one, other) => (goesUp ? order(one, other) : order(other, one)));
    body.append(...rows);
    Array.from(table.tHead.rows[0].cells).forEach((head, place) => {
      if (place === at) head.setAttribute('aria-sort', goesUp ? 'ascending' : 'descending');
      else head.removeAttribute('aria-sort');
    });
  };
  for (const table of all('table.sortable')) {
    Array.from(table.tHead.rows[0].cells).forEach((head, at) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.dataset.control = 'sort';
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener('click', () => {
        const last = head.getAttribute('aria-sort');
        const isNumber = head.classList.contains('n');
        sort(table, at, last ? last === 'descending' : !isNumber);
      });
    });
  }
  test('sort', (button) => {
    const head = button.closest('th');
    const table = head.closest('table');
    const at = Array.from(head.parentElement.cells).indexOf(head);
    const texts = () => Array.from(table.tBodies[0].rows, (row) => row.cells[at].textContent.trim());
    button.click();
    const first = texts();
    const way = head.getAttribute('aria-sort');
    button.click();
    const second = texts();
    check(way && head.getAttribute('aria-sort') !== way, 'its way is not told');
    const isMixed = new Set(first).size > 1;
    check(!isMixed || first.join() !== second.join(), 'the order stays');
    check(first.slice().sort().join() === second.slice().sort().join(), 'rows are lost');
  });

  // Finding, and what was not reached.
  for (const input of controls('find')) {
    const rows = all('#' + input.dataset.table + ' tbody tr');
    input.addEventListener('input', () => find(rows, input.value));
  }
  test('find', (input) => {
    const rows = all('#' + input.dataset.table + ' tbody tr');
    const type = (text) => {
      input.value = text;
      input.dispatchEvent(new Event('input'));
      return rows.filter((row) => row.getClientRects().length > 0).length;
    };
    // Rows in a closed part are shown nowhere.
    const closed = input.closest('details');
    if (closed) closed.open = true;
    const whole = type('');
    check(whole > 0, 'no rows');
    const word = rows.find((row) => row.getClientRects().length > 0).cells[0].textContent;
    const some = type(word);
    check(some > 0 && some <= whole, 'it does not find what is there');
    check(type('no such words') === 0, 'it finds what is not there');
    check(type('') === whole, 'rows stay away');
  });
  for (const box of controls('unreached')) {
    box.addEventListener('change', () => {
      document.getElementById('probe-table').classList.toggle('only-unreached', box.checked);
    });
  }
  test('unreached', (box) => {
    const table = document.getElementById('probe-table');
    const shown = () => all('tbody tr', table).filter((row) => row.getClientRects().length > 0).length;
    const [whole, unreached] = [shown(), all('tbody tr.unreached', table).length];
    box.click();
    check(shown() === unreached, 'it shows ' + shown() + ' of ' + unreached);
    box.click();
    check(shown() === whole, 'rows stay away');
  });

  // Bars: the pointer, or the arrow keys, and a line below.
  for (const plot of controls('plot')) {
    const bars = all('rect.bar', plot);
    const words = bars.map((bar) => bar.querySelector('title').textContent);
    // The tip says it at once; the host's own would come late and twice.
    bars.forEach((bar) => bar.querySelector('title').remove());
    const readout = plot.parentElement.querySelector('.readout');
    const whole = readout.textContent;
    let at = -1;
    const pick = (next, x, y) => {
      bars.forEach((bar, place) => bar.classList.toggle('on', place === next));
      at = next;
      readout.textContent = at < 0 ? whole : words[at];
      if (at < 0) return hideTip();
      const box = bars[at].getBoundingClientRect();
      showTip([words[at]], x === undefined ? box.right : x, y === undefined ? box.top : y);
    };
    plot.addEventListener('pointermove', (event) => {
      const near = bars.findIndex((bar) => {
        const box = bar.getBoundingClientRect();
        return event.clientX >= box.left - 1 && event.clientX <= box.right + 1;
      });
      pick(near, event.clientX, event.clientY);
    });
    plot.addEventListener('pointerleave', () => pick(-1));
    plot.addEventListener('blur', () => pick(-1));
    plot.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) {
        pick(Math.max(0, Math.min(bars.length - 1, at + step)));
        event.preventDefault();
      }
    });
  }
  test('plot', (plot) => {
    const readout = plot.parentElement.querySelector('.readout');
    const rows = plot.parentElement.querySelectorAll('tbody tr');
    const whole = readout.textContent;
    const key = (name) => plot.dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true }));
    for (const row of rows) {
      key('ArrowRight');
      const [name, count] = [row.cells[0].textContent, row.cells[1].textContent];
      check(readout.textContent.startsWith(name + ': ' + count), 'drawing and table differ at ' + name);
    }
    const box = plot.querySelector('rect.bar').getBoundingClientRect();
    const at = { clientX: box.left + box.width / 2, clientY: box.bottom, bubbles: true };
    plot.dispatchEvent(new PointerEvent('pointermove', at));
    check(readout.textContent.startsWith(rows[0].cells[0].textContent), 'the pointer finds no bar');
    check(!document.getElementById('tip').hidden, 'no tip is shown');
    plot.dispatchEvent(new PointerEvent('pointerleave'));
    check(readout.textContent === whole, 'the line stays');
    check(document.getElementById('tip').hidden, 'the tip stays');
  });
})();

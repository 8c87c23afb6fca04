// A failure's page: the drawing of its records, made from the same rows as the table, and bound to it.
(() => {
  const { all, controls, data, showTip, hideTip, find, test, check } = report;
  const drawing = document.getElementById('drawing');
  if (!drawing) return;

  const RULER = 34;
  const LANE = 34;
  const EDGE = 14;
  const PAPER = 600;
  const rows = all('#records tbody tr.record');
  const { lanes, times, boots, gaps } = data;
  const events = data.rows.map(([lane, kind, end, standing]) => ({ lane, kind, end, standing }));
  const view = { scale: 1, hidden: new Set(), picked: -1, hovered: -1 };
  const height = () => RULER + LANE * shownLanes().length + 8;
  const shownLanes = () => lanes.filter((lane) => !view.hidden.has(lane));
  const fitScale = () => Math.max(0.4, (drawing.clientWidth - 2 * EDGE) / Math.max(1, events.length));
  const x = (at) => EDGE + (at + 0.5) * view.scale;
  const laneTop = (lane) => RULER + LANE * shownLanes().indexOf(lanes[lane]);
  const isShown = (at) => !view.hidden.has(lanes[events[at].lane]) && !rows[at].classList.contains('unfound');
  const fixed = (number) => number.toFixed(1);

  // One sign, from its place to where it ends. Form says what it is, colour how it stands: no sign is told by its
  // colour alone.
  const form = (kind, left, middle, right, thin) => {
    const rect = (w, h, more) => '<rect x="' + fixed(left - w / 2) + '" y="' + fixed(middle - h / 2) +
      '" width="' + fixed(w) + '" height="' + h + '"' + (more || '') + '/>';
    const path = (d) => '<path d="' + d + '"/>';
    const span = (h) => '<rect class="span" x="' + fixed(left) + '" y="' + (middle - h / 2) +
      '" width="' + fixed(Math.max(3, right - left)) + '" height="' + h + '" rx="2"/>';
    const [l, m] = [fixed(left), middle];
    switch (kind) {
      case 'request': return span(16) + rect(2.5, 16);
      case 'answer': return '<circle cx="' + l + '" cy="' + m + '" r="4"/>';
      case 'lost': return path('M' + l + ' ' + m + 'm-4-4l8 8m0-8l-8 8');
      case 'point': return (right > left ? span(12) : '') + rect(2, 12);
      case 'write': return rect(thin, 18, ' rx="1"');
      case 'sync': return path('M' + l + ' ' + (m - 9) + 'v18m-3-3l3 3l3-3');
      case 'read': case 'compute': return rect(1, 8);
      case 'open': return '<circle class="hollow" cx="' + l + '" cy="' + m + '" r="2.5"/>';
      case 'failed': return path('M' + l + ' ' + m + 'm-4-4l8 8m0-8l-8 8');
      case 'crash': return path('M' + l + ' ' + (m - 9) + 'l-5 10h4l-1 8l6-11h-4l2-7z');
      case 'boot': return path('M' + l + ' ' + (m - 6) + 'l9 6l-9 6z');
      case 'fault': return path('M' + l + ' ' + (m - 7) + 'l7 13h-14z');
      case 'found': return path('M' + l + ' ' + (m + 9) + 'v-18h11l-3 4l3 4h-11');
      default: return '<circle class="hollow" cx="' + l + '" cy="' + m + '" r="4"/>';
    }
  };
  const sign = (event, at) => form(event.kind, x(at), laneTop(event.lane) + LANE / 2, x(event.end),
    Math.max(2, Math.min(9, view.scale * 0.7)));

  // What each form means, of those that the drawing has.
  const MEANINGS = {
    request: 'a request, until its answer', answer: 'an answer', lost: 'a connection that was lost',
    point: 'a place of the program, and what it does from there', write: 'a write', sync: 'a sync', read: 'a read',
    compute: 'a guest computes', open: 'a file is opened', failed: 'a disk operation that fails', crash: 'a crash',
    boot: 'a server starts', fault: 'a fault', clock: 'the clock is set', check: 'a check', found: 'what was found',
  };
  const explain = () => {
    const lane = { request: 'client', answer: 'client', lost: 'client', point: 'actor' };
    document.getElementById('signs').innerHTML = Object.keys(MEANINGS)
      .filter((kind) => events.some((event) => event.kind === kind))
      .map((kind) => '<li><svg viewBox="0 0 22 22" aria-hidden="true"><g class="sign ' + (lane[kind] || '') + ' ' + kind +
        '">' + form(kind, kind === 'request' || kind === 'point' ? 4 : 11, 11, 19, 5) + '</g></svg>' + MEANINGS[kind] + '</li>')
      .join('');
  };

  const across = (at, kind, words, shift) => {
    const place = fixed(x(at) + (shift || 0));
    const text = words ? '<text x="' + fixed(x(at) + 4) + '" y="' + 29 + '">' + words + '</text>' : '';
    return '<g class="across ' + kind + '"><line x1="' + place + '" x2="' + place + '" y1="18" y2="' +
      (height() - 6) + '"/>' + text + '</g>';
  };

  // Times on the ruler, as many as do not touch.
  const ruler = () => {
    let free = -1;
    return times.map(([at, words]) => {
      const place = x(at) - (at === 0 ? view.scale / 2 : 0);
      const isFree = place > free;
      if (isFree) free = place + words.length * 6.6 + 8;
      return '<g class="time"><line x1="' + fixed(place) + '" x2="' + fixed(place) + '" y1="4" y2="18"/>' +
        (isFree ? '<text x="' + fixed(place + 4) + '" y="14">' + words + '</text>' : '') + '</g>';
    }).join('');
  };

  const draw = () => {
    const width = Math.ceil(2 * EDGE + events.length * view.scale);
    const bands = boots.map(([at, boot], place) => {
      const [left, right] = [x(at) - view.scale / 2, place + 1 < boots.length ? x(boots[place + 1][0]) : width];
      const band = place % 2 ? '<rect class="band" x="' + fixed(left) + '" y="18" width="' +
        fixed(right - left) + '" height="' + (height() - 24) + '"/>' : '';
      return band + (boot > 0 ? across(at, 'boot', view.scale * 30 > 40 || boots.length < 6 ? 'boot ' + boot : '') : '');
    }).join('');
    const lines = shownLanes().map((lane, at) => '<line class="lane" x1="0" x2="' + width + '" y1="' +
      (RULER + LANE * (at + 1)) + '" y2="' + (RULER + LANE * (at + 1)) + '"/>').join('');
    const breaks = gaps.map(([at, count]) => across(at, 'gap', count + ' left out', -view.scale / 2)).join('');
    const ends = events.map((event, at) => (event.kind === 'crash' || event.kind === 'found'
      ? across(at, event.kind, '') : '')).join('');
    const signs = events.map((event, at) => (view.hidden.has(lanes[event.lane]) ? '' :
      '<g class="sign ' + lanes[event.lane] + ' ' + event.kind + ' ' + event.standing +
      (rows[at].classList.contains('unfound') ? ' dim' : '') + '">' + sign(event, at) + '</g>')).join('');
    drawing.innerHTML = '<svg xmlns="http://www.w3.org/2000/svg" width="' + width + '" height="' + height() +
      '" viewBox="0 0 ' + width + ' ' + height() + '" aria-hidden="true">' + bands + lines + breaks + ends +
      signs + ruler() + '<rect class="hover" hidden/><rect class="pick" hidden/></svg>';
    document.getElementById('lane-names').replaceChildren(...shownLanes().map((lane) => {
      const name = document.createElement('span');
      name.textContent = lane;
      name.className = lane;
      return name;
    }));
    frame('.pick', view.picked);
    frame('.hover', view.hovered);
  };

  // The frame around one event.
  const frame = (which, at) => {
    const rect = drawing.querySelector(which);
    const isThere = at >= 0 && isShown(at);
    rect.toggleAttribute('hidden', !isThere);
    if (!isThere) return;
    const left = x(at) - 8;
    const set = (name, value) => rect.setAttribute(name, value);
    set('x', fixed(left));
    set('y', laneTop(events[at].lane) + 3);
    set('width', fixed(Math.max(16, x(events[at].end) - left + 6)));
    set('height', LANE - 6);
    set('rx', 4);
  };

  const words = (at) => {
    const cell = (place) => rows[at].cells[place].textContent.trim();
    const standing = cell(6) ? 'on disk: ' + cell(6) : '';
    return [cell(5), '#' + cell(0) + ', ' + cell(1) + ', boot ' + cell(2) + ', disk op ' + cell(3), standing];
  };

  const hover = (at, place) => {
    view.hovered = at;
    frame('.hover', at);
    if (at < 0) hideTip(); else showTip(words(at), place.x, place.y);
  };

  // Marks an event here, in the table and in words; brings it into sight where it is not.
  const pick = (at, from) => {
    if (view.picked >= 0) rows[view.picked].classList.remove('picked');
    view.picked = at;
    frame('.pick', at);
    const line = document.getElementById('picked');
    if (at < 0) {
      line.textContent = 'Nothing is picked.';
      return;
    }
    rows[at].classList.add('picked');
    line.textContent = words(at).filter(Boolean).join('  \u00b7  ');
    if (from !== 'drawing') reveal(at);
    if (from !== 'table') {
      const box = document.getElementById('records-box');
      const [row, whole] = [rows[at].getBoundingClientRect(), box.getBoundingClientRect()];
      box.scrollTop += row.top - whole.top - whole.height / 2 + row.height / 2;
    }
  };

  const reveal = (at) => { drawing.scrollLeft = x(at) - drawing.clientWidth / 2; };

  const zoom = (factor, at) => {
    const middle = at === undefined ? drawing.clientWidth / 2 : at;
    const place = (drawing.scrollLeft + middle - EDGE) / view.scale;
    view.scale = Math.max(fitScale(), Math.min(36, view.scale * factor));
    draw();
    drawing.scrollLeft = place * view.scale + EDGE - middle;
  };
  const fit = () => {
    view.scale = fitScale();
    draw();
    drawing.scrollLeft = 0;
  };

  // The event at a place of the drawing: in that lane the nearest within reach.
  const nearest = (event) => {
    const box = drawing.getBoundingClientRect();
    const lane = lanes.indexOf(shownLanes()[Math.floor((event.clientY - box.top - RULER) / LANE)]);
    const at = (event.clientX - box.left + drawing.scrollLeft - EDGE) / view.scale - 0.5;
    const reach = Math.max(0.6, 9 / view.scale);
    let best = -1;
    events.forEach((one, place) => {
      if (one.lane !== lane || !isShown(place)) return;
      const away = at < place ? place - at : Math.max(0, at - one.end);
      const last = best < 0 ? reach : Math.abs(events[best].away);
      one.away = away;
      if (away <= last) best = place;
    });
    return best;
  };

  const walk = (step) => {
    let at = view.picked < 0 ? (step > 0 ? -1 : events.length) : view.picked;
    do at += step; while (at >= 0 && at < events.length && !isShown(at));
    if (at >= 0 && at < events.length) pick(at);
  };
  // To the lane above or below: the nearest event of it.
  const climb = (step) => {
    if (view.picked < 0) return walk(1);
    const names = shownLanes();
    const from = view.picked;
    for (let lane = names.indexOf(lanes[events[from].lane]) + step; names[lane]; lane += step) {
      const own = events.map((event, at) => at).filter((at) => lanes[events[at].lane] === names[lane] && isShown(at));
      if (own.length > 0) {
        return pick(own.reduce((best, at) => (Math.abs(at - from) < Math.abs(best - from) ? at : best)));
      }
    }
  };
  const last = (kind) => events.map((event) => event.kind).lastIndexOf(kind);
  const goTo = (at) => { if (at >= 0) { if (view.scale < 9) zoom(9 / view.scale); pick(at); } };

  const press = (name, work) => controls(name).forEach((button) => button.addEventListener('click', work));
  press('zoom-in', () => zoom(2));
  press('zoom-out', () => zoom(0.5));
  press('zoom-fit', fit);
  press('to-crash', () => goTo(last('crash')));
  press('to-end', () => goTo(events.length - 1));
  for (const button of controls('to-crash')) button.hidden = last('crash') < 0;

  for (const box of controls('lane')) {
    box.addEventListener('change', () => {
      if (box.checked) view.hidden.delete(box.value); else view.hidden.add(box.value);
      for (const row of rows) row.hidden = view.hidden.has(row.dataset.lane);
      draw();
    });
  }
  for (const input of controls('find')) {
    input.addEventListener('input', () => { find(rows, input.value); draw(); });
  }
  for (const link of controls('row')) {
    const at = rows.indexOf(link.closest('tr'));
    link.addEventListener('click', (event) => {
      event.preventDefault();
      pick(at, 'table');
    });
  }
  drawing.addEventListener('pointermove', (event) => {
    hover(nearest(event), { x: event.clientX, y: event.clientY });
  });
  drawing.addEventListener('pointerleave', () => hover(-1));
  drawing.addEventListener('blur', () => hover(-1));
  drawing.addEventListener('click', (event) => pick(nearest(event), 'drawing'));
  drawing.addEventListener('wheel', (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - drawing.getBoundingClientRect().left);
  }, { passive: false });
  const keys = {
    ArrowRight: () => walk(1), ArrowLeft: () => walk(-1), ArrowUp: () => climb(-1), ArrowDown: () => climb(1),
    Home: () => pick(events.findIndex((event, at) => isShown(at))), End: () => { view.picked = -1; walk(-1); },
    '+': () => zoom(2), '=': () => zoom(2), '-': () => zoom(0.5), 0: fit,
  };
  drawing.addEventListener('keydown', (event) => {
    const work = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (!work) return;
    event.preventDefault();
    work();
    const box = drawing.getBoundingClientRect();
    if (view.picked >= 0 && event.key.startsWith('Arrow')) {
      showTip(words(view.picked), box.left + x(view.picked) - drawing.scrollLeft, box.top + laneTop(events[view.picked].lane));
    }
  });
  let lastWidth = 0;
  new ResizeObserver(() => {
    // A new width, and not the bar that a longer drawing brings.
    if (drawing.clientWidth === lastWidth) return;
    const wasFit = view.scale <= fitScaleOf(lastWidth) * 1.01;
    lastWidth = drawing.clientWidth;
    if (wasFit) fit(); else draw();
  }).observe(drawing);
  const fitScaleOf = (width) => Math.max(0.4, (width - 2 * EDGE) / Math.max(1, events.length));
  // On paper there is no scrolling, and less room.
  addEventListener('beforeprint', () => {
    view.scale = Math.max(0.4, (PAPER - 2 * EDGE) / Math.max(1, events.length));
    draw();
  });
  addEventListener('afterprint', fit);
  lastWidth = drawing.clientWidth;
  explain();
  // The failure is at the end: the table begins there, and what came before is above.
  const toFailure = () => {
    const box = document.getElementById('records-box');
    if (view.picked < 0) box.scrollTop = box.scrollHeight;
  };
  toFailure();
  addEventListener('load', toFailure);
  fit();
  // What a link names is picked.
  const named = rows.findIndex((row) => '#' + row.id === location.hash);
  if (named >= 0) pick(named);

  // The test of each control: what it does is seen in the drawing, in the table and in the line between.
  const line = () => document.getElementById('picked').textContent;
  const width = () => drawing.querySelector('svg').clientWidth || Number(drawing.querySelector('svg').getAttribute('width'));
  const key = (name, more) => drawing.dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true, ...more }));
  test('zoom-in', (button) => {
    fit();
    const before = width();
    button.click();
    check(width() > before * 1.5 || view.scale === 36, 'the drawing is as wide as before');
    fit();
  });
  test('zoom-out', (button) => {
    fit();
    zoom(4);
    const before = width();
    button.click();
    check(width() < before, 'the drawing is as wide as before');
    fit();
  });
  test('zoom-fit', (button) => {
    zoom(8);
    button.click();
    check(width() <= drawing.clientWidth + 1 || view.scale === 0.4, 'the drawing does not fit');
  });
  const goes = (kind) => {
    check(rows[view.picked].classList.contains(kind), kind + ' is not picked');
    check(line().includes(rows[view.picked].cells[5].textContent), 'the line says something else');
    fit();
  };
  test('to-crash', (button) => {
    if (button.hidden) return;
    button.click();
    goes('crash');
  });
  test('to-end', (button) => {
    button.click();
    check(view.picked === events.length - 1, 'the end is not picked');
    goes(events[view.picked].kind);
  });
  test('lane', (box) => {
    const own = () => rows.filter((row) => row.dataset.lane === box.value && row.getClientRects().length > 0).length;
    const count = () => drawing.querySelectorAll('.sign.' + box.value).length;
    const [before, signs] = [own(), count()];
    check(signs === before, 'drawing and table differ: ' + signs + ' signs, ' + before + ' rows');
    box.click();
    check(own() === 0 && count() === 0, 'the lane is still there');
    box.click();
    check(own() === before && count() === signs, 'the lane does not come back');
  });
  test('find', (input) => {
    const type = (text) => {
      input.value = text;
      input.dispatchEvent(new Event('input'));
      return rows.filter((row) => row.getClientRects().length > 0).length;
    };
    const whole = type('');
    const some = type(rows[0].cells[5].textContent);
    check(some > 0 && some <= whole, 'it does not find what is there');
    check(drawing.querySelectorAll('.sign.dim').length === whole - some, 'the drawing shows all');
    check(type('no such words') === 0, 'it finds what is not there');
    check(type('') === whole, 'rows stay away');
  });
  test('signs', (list) => {
    const kinds = new Set(events.map((event) => event.kind));
    check(list.children.length === kinds.size, list.children.length + ' signs are explained of ' + kinds.size);
    check(all('li', list).every((item) => item.textContent.length > 5), 'a sign has no words');
  });
  test('row', (link) => {
    const row = link.closest('tr');
    link.click();
    check(row.classList.contains('picked') && rows[view.picked] === row, 'the row is not picked');
    check(!drawing.querySelector('.pick').hasAttribute('hidden'), 'the drawing has no mark');
    check(all('tr.picked').length === 1, 'two rows are picked');
  });
  test('drawing', () => {
    fit();
    // The pointer over an event says what its row says, and a click picks that row.
    const at = events.findIndex((event) => event.kind === 'request' || event.kind === 'point' || event.kind === 'boot');
    zoom(100);
    reveal(at);
    const box = drawing.getBoundingClientRect();
    const place = { clientX: box.left + x(at) - drawing.scrollLeft, clientY: box.top + laneTop(events[at].lane) + LANE / 2, bubbles: true };
    drawing.dispatchEvent(new PointerEvent('pointermove', place));
    const tip = document.getElementById('tip');
    check(!tip.hidden && tip.textContent.includes(rows[at].cells[5].textContent), 'no tip of the event');
    drawing.dispatchEvent(new PointerEvent('pointerleave'));
    check(tip.hidden, 'the tip stays');
    drawing.dispatchEvent(new MouseEvent('click', place));
    check(rows[at].classList.contains('picked'), 'a click does not pick the row');
    fit();
    const before = width();
    drawing.dispatchEvent(new WheelEvent('wheel', { deltaY: -1, ctrlKey: true, clientX: box.left + 50, cancelable: true }));
    check(width() > before || view.scale === 36, 'the wheel does not zoom');
    fit();
    drawing.dispatchEvent(new WheelEvent('wheel', { deltaY: -1, clientX: box.left + 50, cancelable: true }));
    check(width() === before, 'the wheel zooms without Ctrl: the page cannot be scrolled');
    key('+');
    check(width() > before || view.scale === 36, '+ does not zoom');
    key('-');
    key('0');
    check(width() === before, '0 does not fit');
    key('Home');
    check(view.picked === 0, 'Home does not go to the first');
    key('ArrowRight');
    check(view.picked === Math.min(1, events.length - 1), 'the right arrow does not walk');
    key('ArrowLeft');
    check(view.picked === 0, 'the left arrow does not walk');
    key('End');
    check(view.picked === events.length - 1, 'End does not go to the last');
    const from = events[view.picked].lane;
    key('ArrowUp');
    check(from === 0 || events[view.picked].lane < from, 'the up arrow does not climb');
    key('ArrowDown');
    check(events.length < 2 || events[view.picked].lane >= 1, 'the down arrow does not climb down');
    key('Escape');
    check(tip.hidden, 'Escape does not hide the tip');
    pick(-1);
  });
})();

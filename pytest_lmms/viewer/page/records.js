// The list of a task's documents: filters, search, sorting, and only the rows in sight.

const ROW = 46;
const FILTERS = [
  ['all', () => true],
  ['right', (r) => standing(r) === 'right'],
  ['wrong', (r) => standing(r) === 'wrong'],
  ['unparsed', (r) => r.status === 'unparsed'],
  ['filtered', (r) => r.status === 'filtered'],
  ['error', (r) => r.status === 'error'],
];
const ORDERS = {
  document: (a, b) => a.id - b.id,
  'score, low first': (a, b) => (a.score ?? Infinity) - (b.score ?? Infinity) || a.id - b.id,
  'tokens, most first': (a, b) => (b.tokens.output || 0) - (a.tokens.output || 0) || a.id - b.id,
  'time, most first': (a, b) => (b.seconds.total || 0) - (a.seconds.total || 0) || a.id - b.id,
};

const searchable = (record) => {
  if (record.text === undefined) {
    const all = [record.id, record.input, record.target, ...record.response, ...record.answer, record.category, record.error];
    Object.defineProperty(record, 'text', { value: all.filter(Boolean).join('\n').toLowerCase(), enumerable: false });
  }
  return record.text;
};

// What a selection in the address means: the records of a task, in order.
const chosen = (records, { filter = 'all', query = '', category = '', order = 'document' }, changed) => {
  const test = (FILTERS.find(([name]) => name === filter) || FILTERS[0])[1];
  const words = query.toLowerCase();
  const isChanged = { worse: 'worse', better: 'better', changed: null };
  return records.filter((r) => {
    if (filter in isChanged) {
      const how = changed ? changed[r.id] : undefined;
      if (!how || (isChanged[filter] && how !== isChanged[filter])) return false;
    } else if (!test(r)) return false;
    if (category && r.category !== category) return false;
    return !words || searchable(r).includes(words);
  }).sort(ORDERS[order] || ORDERS.document);
};

const recordList = (records, { href, changed, query, selected }) => {
  const space = h('div', { class: 'space' });
  const box = h('div', { class: 'list', tabindex: 0, role: 'listbox', 'aria-label': 'Documents' }, space);
  let at = Math.max(0, records.findIndex((r) => String(r.id) === String(selected)));
  const draw = () => {
    space.style.setProperty('height', `${Math.max(1, records.length) * ROW}px`);
    const first = Math.max(0, Math.floor(box.scrollTop / ROW) - 10);
    const last = Math.min(records.length, first + Math.ceil((box.clientHeight || 700) / ROW) + 20);
    const rows = [];
    for (let i = first; i < last; i += 1) {
      const r = records[i];
      const row = h('a', { class: 'row', href: href(r), role: 'option', 'aria-selected': i === at ? 'true' : 'false' },
        h('span', { class: 'quiet num' }, `${r.id}${r.filter ? ` ${r.filter}` : ''}`),
        h('span', { class: 'wide' }, badge(standing(r)), changed && changed[r.id] ? ` ${changed[r.id] === 'worse' ? '▼' : '▲'}` : ''),
        h('span', { dir: 'auto' }, marked(clip(r.input.replace(/\s+/g, ' '), 240), query)),
        h('span', { dir: 'auto', class: `mono ${standing(r)}` }, marked(clip((r.answer[0] ?? r.response[0] ?? r.error ?? '').replace(/\s+/g, ' '), 160), query)),
        h('span', { dir: 'auto', class: 'wide quiet' }, clip(r.target, 80)),
        h('span', { class: 'num wide' }, r.score === null ? '' : number(r.score, 3)));
      row.style.setProperty('top', `${i * ROW}px`);
      rows.push(row);
    }
    space.replaceChildren(...rows);
    if (!records.length) space.replaceChildren(h('p', { class: 'quiet', css: { padding: '1em' } }, 'No document is like that.'));
  };
  box.addEventListener('scroll', () => requestAnimationFrame(draw));
  box.addEventListener('focus', () => draw());
  const move = (by) => {
    if (!records.length) return;
    at = Math.max(0, Math.min(records.length - 1, at + by));
    const top = at * ROW;
    if (top < box.scrollTop) box.scrollTop = top;
    if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW - box.clientHeight;
    draw();
  };
  const open = () => { if (records[at]) location.hash = href(records[at]); };
  requestAnimationFrame(() => {
    if (selected !== undefined && records.length) box.scrollTop = Math.max(0, at * ROW - box.clientHeight / 2);
    draw();
  });
  const headings = h('div', { class: 'headings', 'aria-hidden': 'true' }, h('span', { class: 'num' }, 'No.'), h('span', { class: 'wide' }, 'Status'),
    h('span', {}, 'Asked'), h('span', {}, 'Answered'), h('span', { class: 'wide' }, 'Target'), h('span', { class: 'num wide' }, 'Score'));
  return { element: h('div', {}, records.length ? headings : null, box), move, open };
};

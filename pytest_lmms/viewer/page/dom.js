// Elements, and values as people read them. Text is always text: nothing of a run is ever parsed as HTML.

const add = (parent, children) => {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
  return parent;
};

const set = (element, attributes) => {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class') element.setAttribute('class', value);
    else if (name === 'css') for (const [k, v] of Object.entries(value)) element.style.setProperty(k, v);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  return element;
};

const h = (name, attributes, ...children) => add(set(document.createElement(name), attributes), children);
const svg = (name, attributes, ...children) =>
  add(set(document.createElementNS('http://www.w3.org/2000/svg', name), attributes), children);

// A table that becomes a list of cards on a narrow screen: each cell says which column it is of.
const grid = (headings, rows, { numeric = [] } = {}) => {
  const body = h('tbody', {}, rows);
  for (const row of body.rows) {
    let column = 0;
    for (const cell of row.cells) {
      if (headings[column] && cell.colSpan === 1) cell.dataset.label = headings[column];
      column += cell.colSpan;
    }
  }
  return h('div', { class: 'scroll' }, h('table', { class: 'cards' },
    h('thead', {}, h('tr', {}, headings.map((t, i) => h('th', { class: numeric.includes(i) ? 'num' : '', scope: 'col' }, t)))), body));
};

// A name that may break behind its underscores.
const soft = (text) => String(text).split(/(?<=_)/).flatMap((part, i) => (i ? [h('wbr'), part] : [part]));

const number = (value, digits = 4) => {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (Number.isInteger(value)) return value.toLocaleString('en');
  const size = Math.abs(value);
  return size >= 1000 ? value.toLocaleString('en', { maximumFractionDigits: 1 }) : value.toFixed(size >= 100 ? 1 : digits);
};
const seconds = (value) => {
  if (value === null || value === undefined) return '–';
  if (value < 1) return `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`;
  return value < 120 ? `${value.toFixed(1)} s` : `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
};
const day = (text) => {
  const found = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)/.exec(text || '');
  return found ? `${found[1]} ${found[2]}` : text || '–';
};
const arrow = (isBetter) => (isBetter === true ? ' ↑' : isBetter === false ? ' ↓' : '');
const margin = (metric) => (metric.stderr === null || metric.stderr === undefined ? null : 1.96 * metric.stderr);
const scored = (metric) => {
  const half = margin(metric);
  return number(metric.value) + (half === null ? '' : ` ± ${number(half)}`);
};

const standing = (record) => {
  if (record.status !== 'scored') return record.status;
  return record.is_right === null ? 'none' : record.is_right ? 'right' : 'wrong';
};
const badge = (word) => h('span', { class: `badge ${word}` }, word === 'none' ? 'scored' : word);

// A text with the words that were searched for marked.
const marked = (text, query) => {
  if (!query) return [text];
  const parts = [];
  const low = text.toLowerCase();
  const wanted = query.toLowerCase();
  let from = 0;
  for (let at = low.indexOf(wanted); at >= 0 && parts.length < 400; at = low.indexOf(wanted, from)) {
    parts.push(text.slice(from, at), h('mark', {}, text.slice(at, at + wanted.length)));
    from = at + wanted.length;
  }
  parts.push(text.slice(from));
  return parts;
};

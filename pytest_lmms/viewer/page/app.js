// Addresses, keys, dark and light.

const KEYS = [
  ['j  k', 'next, previous document'], ['Enter', 'open the chosen document'], ['u', 'up: from a document to its list, from there to the run'],
  ['/', 'search'], ['t', 'dark or light'], ['?', 'these keys'],
];

const start = async () => {
  const main = document.getElementById('main');
  const crumbs = document.getElementById('crumbs');
  const keys = document.getElementById('keys');
  const root = document.documentElement;
  let view = {};

  const kept = (() => { try { return localStorage.getItem('lmms-theme'); } catch { return null; } })();
  if (kept) root.dataset.theme = kept;
  const turn = () => {
    const isDark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = isDark ? 'light' : 'dark';
    try { localStorage.setItem('lmms-theme', root.dataset.theme); } catch { /* a page from disk may keep nothing */ }
  };
  document.getElementById('theme').addEventListener('click', turn);
  add(keys, [h('h2', {}, 'Keys'), h('dl', { class: 'keys' }, KEYS.map(([k, text]) => [h('dt', {}, h('kbd', {}, k)), h('dd', {}, text)])),
    h('form', { method: 'dialog' }, h('button', {}, 'Close'))]);
  keys.querySelector('form').addEventListener('submit', (e) => { e.preventDefault(); keys.close(); });
  const help = () => (keys.open ? keys.close() : keys.showModal());
  document.getElementById('help').addEventListener('click', help);

  let source;
  try { source = await openSource(); } catch (e) {
    main.replaceChildren(h('p', { class: 'error' }, `The data of this page cannot be read: ${e.message || e}`));
    return;
  }
  const go = (address, isQuiet) => {
    if (!isQuiet) { location.hash = address; return; }
    history.replaceState(null, '', address);
    show(true);
  };

  let turnNumber = 0;
  const show = async (isQuiet) => {
    turnNumber += 1;
    const mine = turnNumber;
    const [path, text] = location.hash.replace(/^#\/?/, '').split('?');
    const parts = path.split('/').filter(Boolean).map(decodeURIComponent);
    const query = Object.fromEntries(new URLSearchParams(text || ''));
    let next;
    try {
      if (parts[0] === 'run' && parts[2] === 'task') next = await taskView(source, parts[1], parts[3], query, go);
      else if (parts[0] === 'run' && parts[2] === 'doc') next = await documentView(source, parts[1], parts[3], query);
      else if (parts[0] === 'run') next = await runView(source, parts[1]);
      else if (parts[0] === 'compare') next = await compareView(source, parts[1], parts[2]);
      else if (source.isLive) next = await runsView(source, query, go);
      else next = await runView(source, (await source.runs())[0].key);
    } catch (e) {
      next = { title: 'Not found', crumbs: [['Start', '#/'], ['?', null]], body: [h('h1', {}, 'This cannot be shown'), h('p', { class: 'error lines' }, String(e.message || e)), h('p', {}, h('a', { href: '#/' }, 'To the beginning'))] };
    }
    if (mine !== turnNumber) return;
    view = next;
    document.title = `${view.title} · pytest-lmms`;
    crumbs.replaceChildren(...view.crumbs.flatMap(([name, address], i) => [
      i ? h('span', { class: 'sep', 'aria-hidden': 'true' }, '/') : '',
      address ? h('a', { href: address }, name) : h('span', { 'aria-current': 'page' }, name)]));
    const search = isQuiet && document.activeElement && document.activeElement.id === 'search' ? document.activeElement : null;
    const caret = search && search.selectionStart;
    main.replaceChildren(...add(h('div', {}), view.body).childNodes);
    if (search) {
      const box = document.getElementById('search');
      if (box) { box.value = search.value; box.focus(); box.setSelectionRange(caret, caret); }
    } else if (!isQuiet) window.scrollTo(0, 0);
    root.dataset.ready = String(mine);
  };

  document.addEventListener('keydown', (e) => {
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName);
    if (isTyping && e.key === 'Escape') { e.target.blur(); return; }
    if (isTyping || e.ctrlKey || e.metaKey || e.altKey) return;
    const act = {
      j: () => (view.list ? view.list.move(1) : view.after && go(view.after)),
      k: () => (view.list ? view.list.move(-1) : view.before && go(view.before)),
      u: () => view.up && go(view.up),
      Enter: () => view.list && e.target.tagName !== 'BUTTON' && e.target.tagName !== 'A' && e.target.tagName !== 'SUMMARY' && view.list.open(),
      '/': () => { const box = document.getElementById('search'); if (box) box.focus(); },
      t: turn,
      '?': help,
    }[e.key];
    if (act) { if (e.key === '/' || e.key === 'Enter') { if (view.list || e.key === '/') e.preventDefault(); } act(); }
  });
  addEventListener('hashchange', () => show(false));
  await show(false);
};

start();

// The form of a run, the list of jobs, and a job while it runs. What a run is called as a command or a config file is
// asked of the server: there is one writer of them.

const main = document.getElementById('main');
const root = document.documentElement;

// What a view has asked for comes to nothing when another one is shown.
let leaving = new AbortController();

const ask = async (path, { method = 'GET', body } = {}) => {
  const answer = await fetch(path, {
    method, signal: method === 'GET' ? leaving.signal : undefined, headers: body === undefined ? {} : { 'Content-Type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.status === 401 && path !== 'session') { await signIn(); return ask(path, { method, body }); }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const detail = (await answer.json().catch(() => ({}))).detail;
  const text = Array.isArray(detail) ? detail.map((d) => `${d.loc.slice(1).join('.')}: ${d.msg}`).join('\n') : detail;
  throw new Error(text || `the server says ${answer.status}`);
};

const signIn = () => new Promise((resolve) => {
  const input = h('input', { type: 'password', id: 'token', autocomplete: 'off' });
  const said = h('p', { class: 'problem' });
  main.replaceChildren(h('form', { onsubmit: async (e) => {
    e.preventDefault();
    try { await ask('session', { method: 'POST', body: { token: input.value } }); resolve(); } catch (x) { said.textContent = x.message; }
  } }, h('h1', {}, 'This server wants a token'), h('p', { class: 'quiet' }, 'It is the value of LMMS_SERVER_TOKEN where the server was started.'),
  h('label', { class: 'field' }, h('span', {}, 'Token'), input), h('button', { class: 'primary' }, 'Sign in'), said));
  input.focus();
});

// --- the form ----------------------------------------------------------------------------------------------------

const blank = () => ({ model: '', model_args: {}, tasks: [], num_fewshot: '', batch_size: '', limit: '', gen_kwargs: {}, env: {}, settings: {}, num_gpus: 1 });
let draft = blank();
let catalogue = null;
let timer = 0;

// Texts of a form as values: numbers, yes and no, lists and mappings where they look like them.
const valueOf = (text) => {
  const t = text.trim();
  if (t === '') return undefined;
  if (t === 'true' || t === 'false') return t === 'true';
  if (/^-?\d+(\.\d+)?([eE]-?\d+)?$/.test(t)) return Number(t);
  if (/^[[{]/.test(t)) { try { return JSON.parse(t); } catch { return t; } }
  return t;
};
const textOf = (value) => (value === undefined || value === null ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value));
const filled = (object) => Object.fromEntries(Object.entries(object).filter(([k, v]) => k && v !== undefined && v !== ''));

const requestOf = () => {
  const request = { model: draft.model, tasks: draft.tasks };
  for (const name of ['model_args', 'gen_kwargs', 'env', 'settings']) {
    const values = filled(draft[name]);
    if (Object.keys(values).length) request[name] = values;
  }
  for (const name of ['num_fewshot', 'batch_size', 'limit']) {
    const value = valueOf(String(draft[name]));
    if (value !== undefined) request[name] = value;
  }
  if (draft.log_samples === false) request.log_samples = false;
  if (draft.predict_only) request.predict_only = true;
  if (Number(draft.num_gpus) > 1) request.num_gpus = Number(draft.num_gpus);
  return request;
};

const field = (name, element, hint) => h('label', { class: 'field' }, h('span', {}, name), element, hint ? h('span', { class: 'hint' }, hint) : null);
const textInput = (value, change, more) => h('input', { type: 'text', value: textOf(value), autocomplete: 'off', spellcheck: 'false', oninput: (e) => { change(e.target.value); changed(); }, ...more });

const preview = { command: h('pre', { id: 'command' }), yaml: h('pre', { id: 'yaml' }), problem: h('p', { class: 'problem', id: 'problem', role: 'alert' }), start: null, takers: [] };
const canStart = (isReady) => { for (const button of [preview.start, ...preview.takers]) button.disabled = !isReady; };
const changed = () => {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    if (!draft.model || !draft.tasks.length) {
      preview.command.textContent = preview.yaml.textContent = '';
      preview.problem.textContent = draft.model ? 'Choose a task.' : 'Choose a model.';
      canStart(false);
      return;
    }
    try {
      const said = await ask('form/preview', { method: 'POST', body: requestOf() });
      preview.command.textContent = said.command;
      preview.yaml.textContent = said.yaml;
      preview.problem.textContent = '';
      canStart(true);
    } catch (e) {
      preview.problem.textContent = e.message;
      canStart(false);
    }
  }, 120);
};

const modelFields = () => {
  const box = h('div', { id: 'model-args' });
  const draw = async () => {
    const name = draft.model;
    if (!catalogue.models.some((m) => m.name === name || m.aliases.includes(name))) { box.replaceChildren(); return; }
    let known;
    try { known = await ask(`form/arguments?model=${encodeURIComponent(name)}`); } catch (e) { box.replaceChildren(h('p', { class: 'problem' }, e.message)); return; }
    if (name !== draft.model) return;
    const chief = ['pretrained', 'model', 'base_url', 'api_key', 'response', 'noise', 'default'];
    const one = (a) => field(a.name, textInput(draft.model_args[a.name], (t) => { draft.model_args[a.name] = valueOf(t); }, {
      name: `arg-${a.name}`, placeholder: textOf(a.default), type: /key|token|secret|password/i.test(a.name) && !/tokens$/i.test(a.name) ? 'password' : 'text' }), clip(a.help, 140));
    const first = known.filter((a) => chief.includes(a.name) || draft.model_args[a.name] !== undefined);
    const others = known.filter((a) => !first.includes(a));
    box.replaceChildren(...first.map(one), ...(others.length ? [h('details', {}, h('summary', {}, `${others.length} more arguments`), others.map(one))] : []));
  };
  const input = h('input', { id: 'model', list: 'models', value: draft.model, autocomplete: 'off', placeholder: 'type to search', oninput: (e) => { draft.model = e.target.value.trim(); draw(); changed(); } });
  const names = catalogue.models.flatMap((m) => [[m.name, ''], ...m.aliases.map((a) => [a, `= ${m.name}`])]);
  draw();
  return h('fieldset', {}, h('legend', {}, 'Model'), field('Model', input), h('datalist', { id: 'models' }, names.map(([n, t]) => h('option', { value: n }, t))), box);
};

const taskPicker = () => {
  const all = [...Object.entries(catalogue.groups).map(([n, m]) => [n, `group of ${m.length}`, m]), ...Object.entries(catalogue.tags).map(([n, m]) => [n, `tag of ${m.length}`, m]),
    ...catalogue.tasks.map((n) => [n, '', []])];
  const seen = new Set();
  const unique = all.filter(([n]) => !seen.has(n) && seen.add(n));
  const chips = h('div', { class: 'chips' });
  const list = h('div', { class: 'picker', role: 'group', 'aria-label': 'Tasks' });
  const search = h('input', { type: 'search', id: 'task-search', placeholder: `Search ${unique.length} tasks, groups and tags`, 'aria-label': 'Search tasks', css: { width: '100%' }, oninput: () => draw() });
  // The list stays where it is: a box that is replaced loses the keyboard.
  const toggle = (name, on) => {
    draft.tasks = on ? [...draft.tasks, name] : draft.tasks.filter((t) => t !== name);
    for (const box of list.querySelectorAll('input')) box.checked = draft.tasks.includes(box.name.slice('task-'.length));
    drawChips();
    changed();
  };
  const drawChips = () => chips.replaceChildren(...draft.tasks.map((t) => h('span', { class: 'chip' }, t, h('button', {
    type: 'button', 'aria-label': `without ${t}`, onclick: () => { toggle(t, false); (chips.querySelector('button') || search).focus(); } }, '×'))));
  const draw = () => {
    const words = search.value.toLowerCase();
    const found = unique.filter(([n, , m]) => n.toLowerCase().includes(words) || (words.length > 2 && m.some((t) => t.includes(words))));
    found.sort((a, b) => Number(b[0].startsWith(words)) - Number(a[0].startsWith(words)));
    list.replaceChildren(...found.slice(0, 200).map(([n, kind]) => h('label', {}, h('input', { type: 'checkbox', name: `task-${n}`, checked: draft.tasks.includes(n), onchange: (e) => toggle(n, e.target.checked) }), n, h('span', { class: 'kind' }, kind))));
    if (!found.length) list.replaceChildren(h('p', { class: 'quiet', css: { padding: '.5em .8em' } }, 'No task is called so.'));
  };
  drawChips();
  draw();
  return h('fieldset', {}, h('legend', {}, 'Tasks'), chips, search, list);
};

const settingField = (s) => {
  if (s.kind === 'flag') {
    const now = draft.settings[s.name];
    return field(s.name, h('select', { name: `set-${s.name}`, onchange: (e) => { draft.settings[s.name] = valueOf(e.target.value); changed(); } },
      ['', 'true', 'false'].map((v) => h('option', { value: v, selected: textOf(now) === v }, { '': 'as it is', true: 'yes', false: 'no' }[v]))), s.help);
  }
  const isChoice = /^[a-z0-9_]+(\|[a-z0-9_]+)+$/.test(s.metavar);
  return field(s.name, textInput(draft.settings[s.name], (t) => { draft.settings[s.name] = valueOf(t); }, { name: `set-${s.name}`, placeholder: s.metavar, list: isChoice ? `of-${s.name}` : null }),
    [s.help, isChoice ? h('datalist', { id: `of-${s.name}` }, s.metavar.split('|').map((v) => h('option', { value: v }))) : null]);
};

const clip = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

// Rows of a name and a value; one more than there are. None is replaced while somebody types.
const pairFields = (name, { secret = false, hint, names = [] }) => {
  const rows = h('div', {});
  const listId = `${name}-names`;
  const store = () => { draft[name] = Object.fromEntries([...rows.children].map((row) => row.pair()).filter(([k]) => k)); changed(); };
  let num = 0;
  const addRow = (k, v) => {
    const key = h('input', { type: 'text', value: k, placeholder: 'name', list: listId, 'aria-label': `${name} name`, name: `${name}-name-${num}` });
    const value = h('input', { type: 'text', value: textOf(v), placeholder: 'value', 'aria-label': `${name} value`, name: `${name}-value-${num}`, autocomplete: 'off' });
    const remove = h('button', { type: 'button', onclick: () => { const next = row.nextElementSibling; row.remove(); next.firstElementChild.focus(); store(); } }, '×');
    const row = h('div', { class: 'pair' }, key, value, remove);
    row.pair = () => [key.value.trim(), secret ? value.value : valueOf(value.value) ?? ''];
    const draw = () => {
      const isSecret = secret && /key|token|secret|password/i.test(key.value) && !/^\$\{/.test(value.value);
      value.type = isSecret ? 'password' : 'text';
      remove.disabled = row === rows.lastElementChild;
      remove.setAttribute('aria-label', `remove ${key.value}`);
    };
    const taken = () => { if (key.value.trim() && row === rows.lastElementChild) addRow('', ''); draw(); store(); };
    for (const input of [key, value]) input.addEventListener('change', taken);
    rows.append(row);
    num += 1;
    draw();
    if (row.previousElementSibling) row.previousElementSibling.lastElementChild.disabled = false;
  };
  for (const [k, v] of [...Object.entries(draft[name]), ['', '']]) addRow(k, v);
  return [rows, h('datalist', { id: listId }, names.map((n) => h('option', { value: n }))), hint ? h('p', { class: 'quiet small' }, hint) : null];
};

const download = (name, text) => {
  const address = URL.createObjectURL(new Blob([text], { type: 'application/yaml' }));
  h('a', { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
};
const copyText = async (button, text) => { try { await navigator.clipboard.writeText(text); button.textContent = 'copied'; } catch { button.textContent = 'select it by hand'; } };

const importFile = async (file) => {
  try {
    const found = await ask('form/import', { method: 'POST', body: { yaml: await file.text() } });
    draft = { ...blank(), ...found };
    await formView();
  } catch (e) { preview.problem.textContent = e.message; }
};

const formView = async () => {
  catalogue = catalogue || await ask('form/catalogue');
  const settings = Object.fromEntries(catalogue.settings.map((s) => [s.name, s]));
  const some = (names) => names.filter((n) => settings[n]).map((n) => settingField(settings[n]));
  const gates = ['fail_under', 'fail_on_regression', 'baseline'];
  const basic = ['data', 'repeats', 'seed', 'system_instruction'];
  preview.start = h('button', { class: 'primary', type: 'button', id: 'start', disabled: true, onclick: async () => {
    try { location.hash = `#/job/${(await ask('evaluate', { method: 'POST', body: requestOf() })).job_id}`; } catch (e) { preview.problem.textContent = e.message; }
  } }, 'Start');
  const exporter = h('button', { type: 'button', id: 'export', disabled: true, onclick: () => download('run.yaml', preview.yaml.textContent) }, 'Export YAML');
  const copier = h('button', { type: 'button', disabled: true, onclick: (e) => copyText(e.target, preview.command.textContent) }, 'copy');
  preview.takers = [exporter, copier];
  const chooser = h('input', { type: 'file', id: 'import', accept: '.yaml,.yml', hidden: true, onchange: (e) => { if (e.target.files[0]) importFile(e.target.files[0]); } });
  document.title = 'Evaluate · pytest-lmms';
  main.replaceChildren(h('h1', {}, 'New run'), h('div', { class: 'form' },
    h('div', {}, modelFields(), taskPicker(),
      h('fieldset', {}, h('legend', {}, 'How much'),
        field('limit', textInput(draft.limit, (t) => { draft.limit = t; }, { name: 'limit', placeholder: 'all' }), 'documents of each task; below 1 a share of them'),
        some(basic),
        field('num_fewshot', textInput(draft.num_fewshot, (t) => { draft.num_fewshot = t; }, { name: 'num_fewshot', placeholder: "the task's own" })),
        field('batch_size', textInput(draft.batch_size, (t) => { draft.batch_size = t; }, { name: 'batch_size', placeholder: '1' })),
        field('num_gpus', textInput(draft.num_gpus, (t) => { draft.num_gpus = t; }, { name: 'num_gpus' }), 'devices, each with a worker')),
      h('fieldset', {}, h('legend', {}, 'Generation'), pairFields('gen_kwargs', { hint: 'max_new_tokens, temperature, top_p, do_sample, until, ...; they replace those of the tasks.', names: ['max_new_tokens', 'temperature', 'top_p', 'do_sample', 'until'] })),
      h('fieldset', {}, h('legend', {}, 'Environment'), pairFields('env', { secret: true, names: catalogue.variables, hint: 'A secret is kept in the server’s memory, is written as ${NAME}, and never comes back to this page.' })),
      h('fieldset', {}, h('legend', {}, 'Gates'), some(gates)),
      h('details', {}, h('summary', {}, 'Everything else'), some(catalogue.settings.map((s) => s.name).filter((n) => ![...gates, ...basic].includes(n))))),
    h('aside', {},
      h('div', { class: 'actions' }, preview.start, h('button', { type: 'button', onclick: () => chooser.click() }, 'Import YAML'),
        exporter,
        h('button', { type: 'button', onclick: () => { draft = blank(); formView(); } }, 'Clear'), chooser),
      preview.problem,
      h('h3', {}, 'As a command'), h('div', { class: 'card' }, preview.command), h('div', { class: 'actions' }, copier),
      h('h3', {}, 'As a config file'), h('div', { class: 'card' }, preview.yaml))));
  root.dataset.ready = 'form';
  changed();
};

// --- jobs ----------------------------------------------------------------------------------------------------------

const jobsView = async () => {
  const [listed, queue] = await Promise.all([ask('jobs?limit=500'), ask('queue')]);
  document.title = 'Jobs · pytest-lmms';
  main.replaceChildren(h('h1', {}, 'Jobs'),
    h('p', { class: 'quiet' }, `${queue.running_jobs.length} running, ${queue.queue_size} waiting, ${queue.completed_jobs} completed, ${queue.failed_jobs} failed; free: ${queue.free_devices.join(', ') || 'no device'}`),
    listed.jobs.length ? grid(['Status', 'Model', 'Tasks', 'Sent', 'Ended', 'Job'],
      listed.jobs.map((j) => h('tr', { class: 'link', onclick: () => { location.hash = `#/job/${j.job_id}`; } },
        h('td', {}, h('span', { class: `badge ${j.status}` }, j.status)), h('td', {}, h('a', { href: `#/job/${j.job_id}` }, j.model)), h('td', {}, clip(j.tasks.join(', '), 80)),
        h('td', { class: 'date' }, day(j.created_at)), h('td', { class: 'date' }, day(j.completed_at)), h('td', { class: 'quiet small' }, j.job_id.slice(0, 8))))) : h('p', {}, 'No job yet. ', h('a', { href: '#/' }, 'Start one.')));
  root.dataset.ready = 'jobs';
};

let stream = null;
const jobView = async (id) => {
  const log = h('pre', { class: 'log', id: 'log', tabindex: 0 });
  const bar = h('i', {});
  const far = h('span', { id: 'far' });
  const status = h('span', { id: 'status', class: 'badge' });
  const results = h('div', { id: 'results' });
  const buttons = h('div', { class: 'actions' });
  const draw = async () => {
    const job = await ask(`jobs/${id}`);
    status.textContent = job.status;
    status.className = `badge ${job.status}`;
    const isOver = !['queued', 'running'].includes(job.status);
    const act = (name, method, path) => h('button', { type: 'button', onclick: async () => { try { await ask(path, { method }); } catch (e) { results.textContent = e.message; } watch(); } }, name);
    buttons.replaceChildren(...[isOver ? null : act('Cancel', 'DELETE', `jobs/${id}`), job.is_resumable ? act('Go on with it', 'POST', `jobs/${id}/resume`) : null,
      job.status === 'completed' && job.view ? h('a', { id: 'open', href: `/view/#/run/${encodeURIComponent(job.view)}` }, 'Look at the documents →') : null,
      isOver ? h('button', { type: 'button', onclick: async () => { draft = { ...blank(), ...again(job.request) }; location.hash = '#/'; } }, 'Change and run again') : null].filter(Boolean));
    const scores = Object.entries((job.result || {}).results || {}).flatMap(([task, values]) => Object.entries(values)
      .filter(([k, v]) => k.includes(',') && !k.includes('_stderr') && typeof v === 'number').map(([k, v]) => [task, k.split(',').filter((p) => p !== 'none').join(' '), v]));
    results.replaceChildren(job.error ? h('div', { class: 'card' }, h('pre', { class: 'problem', id: 'why' }, job.error)) : '',
      job.status === 'completed' && job.exit_code ? h('p', { class: 'problem' }, 'Documents or a gate failed: the log says which.') : '',
      scores.length ? h('table', {}, h('tbody', {}, scores.map(([t, m, v]) => h('tr', {}, h('td', {}, t), h('td', {}, m), h('td', { class: 'num' }, number(v)))))) : '');
  };
  const again = (r) => Object.fromEntries(Object.entries({ ...r, device: null, output_dir: null }).filter(([, v]) => v !== null));
  const watch = async () => {
    if (stream) stream.close();
    await draw();
    log.textContent = '';
    stream = new EventSource(`jobs/${id}/events`);
    stream.addEventListener('log', (e) => { const atEnd = log.scrollTop + log.clientHeight > log.scrollHeight - 30; log.append(JSON.parse(e.data).text.replace(/\u001b\[[0-9;]*m/g, '')); if (atEnd) log.scrollTop = log.scrollHeight; });
    stream.addEventListener('progress', (e) => {
      const p = JSON.parse(e.data);
      bar.style.setProperty('width', `${(100 * p.done) / Math.max(1, p.total)}%`);
      const left = p.done ? (p.seconds / p.done) * (p.total - p.done) : null;
      far.textContent = ` ${p.done} of ${p.total} documents, ${p.task}${p.scores[p.task] === undefined ? '' : ` ${number(p.scores[p.task], 3)}`}${left > 1 ? `, ${seconds(left)} left` : ''}`;
    });
    stream.addEventListener('status', async (e) => {
      await draw();
      if (!['queued', 'running'].includes(JSON.parse(e.data).status)) stream.close();
    });
  };
  const job = await ask(`jobs/${id}`);
  document.title = `${job.request.model} · pytest-lmms`;
  main.replaceChildren(h('h1', {}, job.request.model), h('p', { class: 'quiet' }, job.request.tasks.join(', ')), h('p', {}, status, far), h('div', { class: 'progress', role: 'progressbar', 'aria-label': 'documents done' }, bar), buttons, results, h('h2', {}, 'Log'), log);
  root.dataset.ready = 'job';
  await watch();
};

const show = async () => {
  if (stream) { stream.close(); stream = null; }
  leaving.abort();
  const mine = leaving = new AbortController();
  const parts = location.hash.replace(/^#\/?/, '').split('/').filter(Boolean);
  try {
    if (parts[0] === 'jobs') await jobsView();
    else if (parts[0] === 'job') await jobView(parts[1]);
    else await formView();
  } catch (e) {
    if (mine !== leaving) return;
    main.replaceChildren(h('h1', {}, 'This cannot be shown'), h('p', { class: 'problem' }, e.message));
    root.dataset.ready = 'problem';
  }
};

const kept = (() => { try { return localStorage.getItem('lmms-theme'); } catch { return null; } })();
if (kept) root.dataset.theme = kept;
document.getElementById('theme').addEventListener('click', () => {
  const isDark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = isDark ? 'light' : 'dark';
  try { localStorage.setItem('lmms-theme', root.dataset.theme); } catch { /* then it is not kept */ }
});
addEventListener('hashchange', show);
show();

// The pages: runs, a run, a task, a document, two runs side by side.

const link = (...parts) => `#/${parts.map(encodeURIComponent).join('/')}`;
const withQuery = (address, query) => {
  const text = new URLSearchParams(Object.entries(query).filter(([, v]) => v)).toString();
  return text ? `${address}?${text}` : address;
};
const nodeId = (task, id) => `${task.node_id}[${id}]`;

const countsText = (counts) => [
  ['n_scored', 'scored'], ['n_unparsed', 'unparsed'], ['n_filtered', 'filtered'], ['n_error', 'error'], ['n_unscored', 'unscored'], ['n_not_run', 'not run'],
].filter(([k]) => counts[k]).map(([k, word]) => h('span', { class: `count ${word === 'scored' ? '' : word.replace(' ', '')}` },
  `${counts[k].toLocaleString('en')} ${word === 'error' && counts[k] > 1 ? 'errors' : word}`)).flatMap((e, i) => (i ? [' · ', e] : [e]));

const mainScores = (run) => {
  const tasks = run.tasks.filter((t) => t.metrics.length && !t.is_group);
  return tasks.slice(0, 3).map((t) => h('div', { class: 'score' }, h('span', { class: 'quiet' }, soft(t.name)), ' ', h('span', { class: 'value' }, scored(t.metrics[0]))))
    .concat(tasks.length > 3 ? [h('div', { class: 'quiet' }, `and ${tasks.length - 3} more`)] : []);
};

const argumentLine = (run) => {
  const text = Object.entries(run.model_args).map(([k, v]) => `${k}=${typeof v === 'string' ? v : JSON.stringify(v)}`).join(', ');
  return text ? h('div', { class: 'quiet small' }, text) : null;
};

const runsView = async (source, query, go) => {
  const runs = await source.runs();
  const words = (query.q || '').toLowerCase();
  const shown = runs.filter((r) => !words || JSON.stringify([r.name, r.model, (r.tasks || []).map((t) => t.name)]).toLowerCase().includes(words));
  const picked = new Set();
  const button = h('button', { type: 'button', disabled: true, onclick: () => {
    const [a, b] = shown.filter((r) => picked.has(r.key)).map((r) => r.key);
    go(link('compare', a, b));
  } }, 'Compare two');
  const pick = (key) => h('input', { type: 'checkbox', 'aria-label': `choose ${key}`, onclick: (e) => {
    e.stopPropagation();
    if (e.target.checked) picked.add(key); else picked.delete(key);
    button.toggleAttribute('disabled', picked.size !== 2);
  } });
  return {
    title: 'Runs',
    crumbs: [['Runs', null]],
    search: true,
    body: [
      h('h1', {}, 'Runs'),
      h('div', { class: 'controls' }, searchBox(query, (q) => go(withQuery('#/', { ...query, q }), true)), button),
      runs.length ? null : h('p', { class: 'quiet' }, 'No run here yet. A run folder appears when pytest --lmms-model ... has ended.'),
      runs.length && !shown.length ? h('p', { class: 'quiet' }, 'No run is like that.') : null,
      shown.length ? grid(['', 'Date', 'Model', 'Scores', 'Documents', 'Tokens', 'Time', 'Folder'], shown.map((run) => (run.problem
        ? h('tr', {}, h('td', {}), h('td', { class: 'quiet' }, '–'), h('td', { colspan: 5, class: 'error lines small' }, run.problem), h('td', { class: 'quiet small name' }, soft(run.name)))
        : h('tr', { class: 'link', onclick: (e) => { if (e.target.tagName !== 'INPUT') go(link('run', run.key)); } },
          h('td', {}, pick(run.key)), h('td', { class: 'date' }, day(run.date)), h('td', {}, h('a', { href: link('run', run.key) }, run.model), argumentLine(run)),
          h('td', {}, mainScores(run)), h('td', { class: 'num' }, countsText(run.counts)), h('td', { class: 'num' }, number(run.tokens)),
          h('td', { class: 'num' }, seconds(run.seconds)), h('td', { class: 'quiet small name' }, soft(run.name))))), { numeric: [4, 5, 6] }) : null],
  };
};

const searchBox = (query, search) => {
  let timer = 0;
  return h('input', { type: 'search', id: 'search', placeholder: 'Search  ( / )', value: query.q || '', 'aria-label': 'Search', oninput: (e) => {
    clearTimeout(timer);
    timer = setTimeout(() => search(e.target.value), 150);
  } });
};

const metricRows = (run, task) => {
  const rows = task.metrics.length ? task.metrics : [null];
  return rows.map((metric, i) => h('tr', { class: `${task.is_group ? 'group' : ''}` },
    h('td', {}, i ? '' : task.is_group ? soft(task.name) : h('a', { href: link('run', run.key, 'task', task.name) }, soft(task.name))),
    h('td', {}, metric ? soft(`${metric.name}${metric.filter === 'none' ? '' : ` (${metric.filter})`}${arrow(metric.higher_is_better)}`) : h('span', { class: 'quiet' }, 'no metric')),
    h('td', { class: 'num' }, metric ? number(metric.value) : '–'),
    h('td', { class: 'num quiet' }, metric && margin(metric) !== null ? `± ${number(margin(metric))}` : ''),
    h('td', { class: 'num' }, i ? '' : countsText(task.counts))));
};

const gateTable = (gates) => (gates.length ? [h('h2', {}, 'Gates'), grid(['Verdict', 'Gate', 'Details'], gates.map((g) => h('tr', {},
    h('td', {}, h('span', { class: `badge ${{ pass: 'right', fail: 'wrong', unjudged: 'wrong' }[g.outcome] || 'inconclusive'}` }, g.outcome || '–')),
    h('td', {}, [g.task, g.name].filter(Boolean).join(' / ') || '–', ' ', h('span', { class: 'quiet' }, g.gate || '')),
    h('td', { class: 'small quiet' }, g.reason || ''))))] : null);

const runView = async (source, key) => {
  const runs = await source.runs();
  const run = runs.find((r) => r.key === key);
  if (!run) throw new Error('There is no such run.');
  if (run.problem) throw new Error(run.problem);
  const points = run.tasks.filter((t) => !t.is_group && t.metrics.length && t.efficiency && t.efficiency.avg_output_tokens_per_sample)
    .map((t) => ({ name: t.name, tokens: t.efficiency.avg_output_tokens_per_sample, share: t.metrics[0].value / scaleOf(t.metrics[0].value) }));
  const plots = [scorePlot(run.tasks), latencyPlot(run.latency), tokenPlot(points, 'Output tokens of an answer against score, each task')].filter(Boolean);
  return {
    title: run.model,
    crumbs: [source.isLive ? ['Runs', '#/'] : null, [run.name, null]].filter(Boolean),
    body: [
      h('h1', {}, run.model),
      argumentLine(run),
      h('div', { class: 'facts' }, h('span', {}, day(run.date)), h('span', {}, countsText(run.counts)),
        run.tokens ? h('span', {}, h('b', {}, number(run.tokens)), ' output tokens') : null,
        run.seconds ? h('span', {}, h('b', {}, seconds(run.seconds)), ' answering') : null,
        run.tokens_per_second ? h('span', {}, h('b', {}, number(run.tokens_per_second, 1)), ' tokens/s') : null,
        run.status === 'complete' ? null : h('span', { class: 'wrong' }, `not complete${run.incomplete_because ? `: ${run.incomplete_because}` : ''}`)),
      source.note ? h('p', { class: 'unparsed' }, source.note) : null,
      grid(['Task', 'Metric', 'Value', '95%', 'Documents'],
        run.tasks.filter((t) => !t.is_group || t.metrics.length).map((t) => metricRows(run, t)), { numeric: [2, 3, 4] }),
      gateTable(run.gates),
      source.hasComparison && !source.isLive ? comparisonBody(await source.comparison(), run.key, run.key) : null,
      plots.length ? h('h2', {}, 'At a glance') : null, h('div', { class: 'plots' }, plots),
      h('h2', {}, 'How it was run'),
      h('details', {}, h('summary', {}, 'Settings and versions'), h('div', { class: 'columns' }, pairs(run.settings), pairs(run.versions))),
    ],
  };
};

const changedOf = async (source, key, query, task) => {
  const isOwn = !source.isLive && source.hasComparison;
  if (!query.baseline && !isOwn) return null;
  const found = await source.comparison(key, query.baseline);
  return found ? found.changed[task] || {} : null;
};

const taskView = async (source, key, name, query, go) => {
  const run = (await source.runs()).find((r) => r.key === key);
  const task = run && run.tasks.find((t) => t.name === name);
  if (!task) throw new Error('There is no such task in this run.');
  const all = await source.records(key, name);
  const changed = await changedOf(source, key, query, name);
  const records = chosen(all, { filter: query.show, query: query.q, category: query.category, order: query.order }, changed);
  const here = link('run', key, 'task', name);
  const to = (more, isQuiet) => go(withQuery(here, { ...query, ...more }), isQuiet);
  const numOf = (test) => all.reduce((n, r) => n + (test(r) ? 1 : 0), 0);
  const filters = FILTERS.map(([word, test]) => [word, numOf(test)])
    .concat(changed ? [['worse', numOf((r) => changed[r.id] === 'worse')], ['better', numOf((r) => changed[r.id] === 'better')]] : [])
    .filter(([word, n]) => n || word === 'all' || word === query.show);
  const categories = [...new Set(all.map((r) => r.category).filter(Boolean))].sort();
  const list = recordList(records, {
    changed, query: query.q, selected: query.at,
    href: (r) => withQuery(link('run', key, 'doc', nodeId(task, r.id)), { ...query, at: '' }),
  });
  const metric = task.metrics[0];
  const lengths = all.map((r) => r.tokens.output).filter((n) => n > 0);
  const scores = all.map((r) => r.score).filter((s) => s !== null);
  const plots = [
    metric && Object.keys(metric.parts).length
      ? barPlot(`${metric.name} by category`, Object.entries(metric.parts), { of: Math.max(...Object.values(metric.parts)) <= 1 ? 1 : null }) : null,
    new Set(lengths).size < 2 ? null : tokenPlot(all.map((r) => ({ name: `document ${r.id}`, tokens: r.tokens.output, share: r.score === null ? null : r.score / scaleOf(Math.max(...scores, 0)), kind: standing(r) })),
      'Output tokens against score, each document'),
    new Set(lengths).size < 2 ? null : histogram('Output tokens of a document', lengths),
    new Set(scores).size > 2 ? histogram('Score of a document', scores) : null,
  ].filter(Boolean);
  return {
    title: `${name} · ${run.model}`,
    crumbs: [source.isLive ? ['Runs', '#/'] : null, [run.name, link('run', key)], [name, null]].filter(Boolean),
    list,
    up: link('run', key),
    body: [
      h('h1', {}, name),
      h('div', { class: 'facts' }, task.metrics.slice(0, 6).map((m) => h('span', {}, `${m.name}${m.filter === 'none' ? '' : ` (${m.filter})`} `, h('b', {}, scored(m)), arrow(m.higher_is_better))),
        h('span', {}, countsText(task.counts))),
      plots.length ? h('details', { open: query.plots !== 'no', ontoggle: (e) => { if (!e.target.open !== (query.plots === 'no')) to({ plots: e.target.open ? '' : 'no' }, true); } },
        h('summary', {}, 'Distributions'), h('div', { class: 'plots' }, plots)) : null,
      h('h2', {}, `Documents${records.length === all.length ? '' : `: ${records.length.toLocaleString('en')} of ${all.length.toLocaleString('en')}`}`),
      h('div', { class: 'controls' },
        filters.map(([word, n]) => h('button', { type: 'button', 'aria-pressed': String((query.show || 'all') === word), onclick: () => to({ show: word === 'all' ? '' : word }) }, `${word} ${n.toLocaleString('en')}`)),
        categories.length > 1 && categories.length < 200 ? h('select', { 'aria-label': 'Category', onchange: (e) => to({ category: e.target.value }) },
          h('option', { value: '' }, 'every category'), categories.map((c) => h('option', { value: c, selected: c === query.category }, clip(c, 40)))) : null,
        h('select', { 'aria-label': 'Order', onchange: (e) => to({ order: e.target.value === 'document' ? '' : e.target.value }) },
          Object.keys(ORDERS).map((o) => h('option', { value: o, selected: o === (query.order || 'document') }, `by ${o}`))),
        searchBox(query, (q) => to({ q }, true))),
      all.length ? list.element : h('p', { class: 'quiet' }, 'This run kept no records of the task.'),
    ],
  };
};

const documentView = async (source, key, node, query) => {
  const run = (await source.runs()).find((r) => r.key === key);
  const found = /^(.*)\[(\d+)\]$/.exec(node);
  const task = run && found && run.tasks.find((t) => t.node_id === found[1]);
  if (!task) throw new Error(`There is no document ${node} in this run.`);
  const id = Number(found[2]);
  const all = await source.records(key, task.name);
  const changed = await changedOf(source, key, query, task.name);
  const ordered = chosen(all, { filter: query.show, query: query.q, category: query.category, order: query.order }, changed);
  const list = ordered.some((r) => r.id === id) ? ordered : all;
  const place = list.findIndex((r) => r.id === id);
  const record = list[place];
  if (!record) throw new Error(`There is no document ${node} in this run.`);
  const beside = query.baseline ? (await source.records(query.baseline, task.name).catch(() => [])).find((r) => r.id === id) : null;
  let messages = null;
  let trouble = null;
  try { messages = await source.messages(key, task.name, id); } catch (e) { trouble = String(e.message || e); }
  const at = (i) => (list[i] ? withQuery(link('run', key, 'doc', nodeId(task, list[i].id)), query) : null);
  const [before, after] = [at(place - 1), at(place + 1)];
  const up = withQuery(link('run', key, 'task', task.name), { ...query, at: id });
  return {
    title: node,
    crumbs: [source.isLive ? ['Runs', '#/'] : null, [run.name, link('run', key)], [task.name, up], [`${id}`, null]].filter(Boolean),
    before, after, up,
    body: [
      h('div', { class: 'pager' }, h('span', {}, badge(standing(record)), record.category ? ` ${record.category}` : '', changed && changed[id] ? ` · ${changed[id]} than the baseline` : ''),
        h('span', { class: 'quiet' }, before ? h('a', { href: before, rel: 'prev' }, '← k') : '', ` ${place + 1} of ${list.length.toLocaleString('en')} `, after ? h('a', { href: after, rel: 'next' }, 'j →') : '')),
      h('h1', { class: 'small' }, node, ' ', h('button', { type: 'button', title: 'Copy; paste it behind pytest to run this document again', onclick: (e) => copy(e.target, node) }, 'copy id')),
      trouble ? h('p', { class: 'small unparsed' }, `Its messages cannot be rendered again: ${trouble}`) : null,
      documentBody(record, messages, { still: (p) => source.media(key, task.name, id, p), film: (p) => source.film(key, task.name, id, p) }, { beside, besideName: query.baseline }),
    ],
  };
};

const copy = async (button, text) => {
  try { await navigator.clipboard.writeText(text); button.textContent = 'copied'; } catch { button.textContent = text; }
};

const comparisonBody = (found, key, linked) => {
  const cell = (line) => {
    if (line.obstacle) return h('td', { colspan: 5, class: 'inconclusive small' }, line.obstacle);
    const effect = line.effect ?? line.mean_difference;
    const isBetter = effect === 0 || effect === null ? null : (effect > 0) === (line.higher_is_better !== false);
    const p = line.p_adjusted ?? line.p_value;
    return [
      h('td', { class: 'num' }, number(line.baseline)), h('td', { class: 'num' }, number(line.value)),
      h('td', { class: `num ${isBetter === null ? '' : isBetter ? 'right' : 'wrong'}` }, effect === null ? '–' : `${effect > 0 ? '+' : ''}${number(effect)}`,
        line.low === null ? '' : h('div', { class: 'quiet small' }, `a document ${number(line.mean_difference, 3)} (${number(line.low, 3)} to ${number(line.high, 3)})`)),
      h('td', { class: 'num' }, p === null ? '–' : p < 0.001 ? '< 0.001' : p.toFixed(3)),
      h('td', { class: 'num' }, number(line.num_pairs)),
    ];
  };
  const changes = (task) => {
    const of = Object.values(found.changed[task] || {});
    const n = (word) => of.filter((w) => w === word).length;
    const to = (word) => withQuery(link('run', linked, 'task', task), { show: word, baseline: key === linked ? '' : key });
    return of.length ? [h('a', { href: to('worse'), class: 'wrong' }, `▼ ${n('worse')}`), ' ', h('a', { href: to('better'), class: 'right' }, `▲ ${n('better')}`)] : '–';
  };
  return [
    h('h2', {}, `${found.run} beside ${found.baseline}`),
    h('p', { class: 'quiet small' }, 'Paired on the documents that both scored; p is corrected for the number of lines (Holm). ▼ turned worse, ▲ better.'),
    grid(['Task', 'Metric', 'Baseline', 'Run', 'Difference', 'p', 'Pairs', 'Changed'], found.lines.map((line) => h('tr', {}, h('td', {}, soft(line.task)), h('td', {}, soft(`${line.metric}${line.filter === 'none' ? '' : ` (${line.filter})`}${arrow(line.higher_is_better)}`)),
        cell(line), h('td', {}, changes(line.task)))), { numeric: [2, 3, 4, 5, 6] }),
  ];
};

const compareView = async (source, baseline, key) => {
  const found = await source.comparison(key, baseline);
  return {
    title: 'Compare',
    crumbs: [['Runs', '#/'], ['Compare', null]],
    body: [h('h1', {}, 'Two runs'), comparisonBody(found, baseline, key), h('p', {}, h('a', { href: link('compare', key, baseline) }, 'The other way round'))],
  };
};

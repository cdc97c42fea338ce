// One document: what was asked, what came back, what it scored.

// Reasoning between tags, folded; the rest as it is.
const THINKING = /<(think|thinking|reasoning|analysis)>([\s\S]*?)(?:<\/\1>|$)/g;
const answerText = (text) => {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(THINKING)) {
    if (found.index > from) parts.push(h('pre', {}, text.slice(from, found.index)));
    parts.push(h('details', {}, h('summary', {}, `Reasoning, ${found[2].length.toLocaleString('en')} characters`),
      h('pre', { class: 'think' }, found[2].trim())));
    from = found.index + found[0].length;
  }
  if (from < text.length || !parts.length) parts.push(h('pre', {}, text.slice(from).trim() || '(empty)'));
  return parts;
};

const medium = (part, source, film) => {
  if (!source) {
    return h('p', { class: 'quiet small' }, `[${part.kind}: not in this report; pytest-lmms view shows it]`);
  }
  if (part.kind === 'audio') return h('audio', { controls: true, src: source, preload: 'metadata' });
  const word = part.kind === 'video' ? 'four frames of a video' : 'image of the document';
  const image = h('img', { class: 'media', src: source, alt: word });
  if (!film) return image;
  // Below its frames; gone where the file is too large, or of a kind that this browser does not play.
  const video = h('video', { class: 'media', controls: true, src: film, preload: 'metadata', onerror: () => video.remove() });
  return [image, video];
};

const messageCards = (messages, address) => messages.map((message) => h('div', { class: 'card' },
  h('h3', {}, message.role),
  message.parts.map((part) => (part.kind
    ? medium(part, part.src || address.still(part.place), part.film ? address.film(part.place) : null) : h('pre', {}, part.text)))));

const pairs = (object) => h('dl', { class: 'pairs' }, Object.entries(object)
  .filter(([, v]) => v !== null && v !== undefined && v !== '')
  .map(([k, v]) => [h('dt', {}, k), h('dd', {}, v instanceof Node ? v : typeof v === 'object' ? json(v) : String(v))]));

const json = (value) => {
  const text = JSON.stringify(value, null, 1);
  const isMapping = value && !Array.isArray(value) && typeof value === 'object';
  if (isMapping && Object.keys(value).length < 12 && text.length < 1500) return pairs(value);
  if (text.length < 200) return h('span', {}, JSON.stringify(value));
  return h('details', {}, h('summary', {}, `${text.length.toLocaleString('en')} characters`), h('pre', {}, text));
};

// What a step left behind, a line for each thing: `cash 100 · inventory 8`.
const state = (value) => {
  if (!value || typeof value !== 'object' || Array.isArray(value) || JSON.stringify(value).length > 1500) return json(value);
  const flat = (v) => (v && typeof v === 'object' && !Array.isArray(v) && Object.values(v).every((x) => x === null || typeof x !== 'object')
    ? Object.entries(v).map(([k, x]) => `${k} ${x}`).join(' · ') : v);
  return pairs(Object.fromEntries(Object.entries(value).map(([k, v]) => [k, flat(v)])));
};

// The lines of a step's prompt that the one before did not have.
const whatIsNew = (before, now) => {
  const known = new Set(String(before ?? '').split('\n'));
  const fresh = String(now ?? '').split('\n').filter((line) => line.trim() && !known.has(line));
  return fresh.length ? clip(fresh.join(' · '), 220) : 'the same again';
};

// A document of several rounds: prompt, reply, what the tools said, state.
const trajectory = (rounds) => {
  if (!rounds || !rounds.length) return null;
  const several = rounds.length > 1;
  return rounds.map((steps, repeat) => h('section', {},
    h('h2', {}, `Steps${several ? ` of answer ${repeat + 1}` : ''}`),
    h('ol', { class: 'steps' }, (Array.isArray(steps) ? steps : [steps]).map((step, i, list) => h('li', {},
      h('details', { open: i === 0 }, h('summary', {}, i ? `asked: ${whatIsNew(list[i - 1].input, step.input)}` : 'asked'), h('pre', {}, String(step.input ?? ''))),
      h('div', { class: 'card' }, answerText(String(step.output ?? ''))),
      Object.entries(step).filter(([k, v]) => !['input', 'output'].includes(k) && v !== null)
        .map(([k, v]) => h('div', { class: 'small' }, k === 'info' ? null : h('span', { class: 'quiet' }, `${k} `), state(v))))))));
};

const verdictCards = (verdicts) => (verdicts || []).map((verdict) => h('div', { class: 'card' },
  h('h3', {}, `judge ${verdict.judge || verdict.model || ''}`),
  verdict.text || verdict.reply ? answerText(String(verdict.text || verdict.reply)) : null,
  pairs(Object.fromEntries(Object.entries(verdict).filter(([k]) => !['text', 'reply'].includes(k))))));

// Whether messages that were rendered now say what the record says was asked.
const isAsked = (record, messages) => messages.flatMap((m) => m.parts).every((p) => p.kind
  || record.input.length >= 20000 || record.input.includes(p.text.trim()));

const documentBody = (record, messages, address, { beside = null, besideName = '' } = {}) => {
  const kind = { right: 'good', wrong: 'badly' }[standing(record)] || (record.status === 'scored' ? '' : 'warned');
  const asked = h('section', {}, h('h2', {}, 'Asked'), messages && isAsked(record, messages)
    ? messageCards(messages, address)
    : [h('div', { class: 'card' }, h('pre', {}, record.input)),
      messages ? [h('p', { class: 'unparsed small' }, 'The task asks something else today:'), messageCards(messages, address)] : null]);
  const response = record.response.map((text, i) => h('div', { class: `card ${kind}` },
    record.response.length > 1 ? h('h3', {}, `answer ${i + 1}`) : null, answerText(text)));
  const isSame = JSON.stringify(record.response) === JSON.stringify(record.answer);
  const answered = h('section', {}, h('h2', {}, 'Answered'),
    record.error ? h('div', { class: 'card warned' }, h('h3', {}, 'error'), h('pre', {}, record.error)) : null,
    response.length && record.rounds && record.rounds.length
      ? h('details', { class: 'folded' }, h('summary', {}, 'Raw response; its steps are below'), response) : response.length ? response : record.error ? null : h('p', { class: 'quiet' }, 'Nothing.'),
    isSame ? null : h('div', { class: 'card' }, h('h3', {}, 'what was scored'), record.answer.map((t) => h('pre', {}, t))),
    beside ? h('div', { class: 'card' }, h('h3', {}, `in ${besideName}: ${standing(beside)}`), beside.response.map(answerText)) : null,
    h('div', { class: 'card' }, h('h3', {}, 'target'), h('pre', {}, record.target || '–')),
    h('div', { class: 'card' }, h('h3', {}, 'scores'),
      Object.keys(record.scores).length ? pairs(record.scores) : h('span', { class: 'quiet' }, 'none')),
    verdictCards(record.verdicts),
    h('div', { class: 'card' }, h('h3', {}, 'cost'), pairs({
      'input tokens': record.tokens.input && number(record.tokens.input),
      'output tokens': record.tokens.output && number(record.tokens.output),
      'reasoning tokens': record.tokens.reasoning && number(record.tokens.reasoning),
      'cached input tokens': record.tokens.cached && number(record.tokens.cached),
      time: record.seconds.total ? seconds(record.seconds.total) : record.num_cached ? 'taken from the cache' : null,
      'to the first token': record.seconds.first_token ? `${seconds(record.seconds.first_token)} (${record.seconds.source})` : null,
      'for each further token': record.seconds.per_token ? seconds(record.seconds.per_token) : null,
      flags: record.flags.length ? record.flags.join(', ') : null,
    })));
  return [h('div', { class: 'columns' }, asked, answered), trajectory(record.rounds)];
};

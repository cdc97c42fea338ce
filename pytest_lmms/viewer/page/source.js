// Where the data comes from: the page itself, or the server that sent it. Both answer the same questions.

const unpack = async (packed) => {
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return JSON.parse(await new Response(stream).text());
};

const ownSource = (data) => ({
  isLive: false,
  runs: async () => data.runs,
  records: async (key, task) => (data.records[key] || {})[task] || [],
  messages: async (key, task, id) => ((data.messages[key] || {})[task] || {})[id] || null,
  film: () => null,
  media: () => null,
  comparison: async () => data.comparison,
  hasComparison: Boolean(data.comparison),
  note: data.is_cut ? 'This run has more records than fit into a report: pytest-lmms view shows them all.' : null,
});

const askedSource = () => {
  const kept = new Map();
  const ask = async (path) => {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || `${answer.status} ${path}`);
    return answer.json();
  };
  const once = (path) => {
    if (!kept.has(path)) kept.set(path, ask(path).catch((e) => { kept.delete(path); throw e; }));
    return kept.get(path);
  };
  const q = encodeURIComponent;
  return {
    isLive: true,
    runs: () => ask('api/runs'),
    records: (key, task) => once(`api/records?run=${q(key)}&task=${q(task)}`),
    messages: (key, task, id) => once(`api/messages?run=${q(key)}&task=${q(task)}&id=${q(id)}`),
    film: (key, task, id, place) => `api/film?run=${q(key)}&task=${q(task)}&id=${q(id)}&place=${place}`,
    media: (key, task, id, place) => `api/media?run=${q(key)}&task=${q(task)}&id=${q(id)}&place=${place}`,
    comparison: (key, baseline) => once(`api/compare?run=${q(key)}&baseline=${q(baseline)}`),
    hasComparison: true,
    note: null,
  };
};

const openSource = async () => {
  const packed = document.getElementById('data');
  return packed ? ownSource(await unpack(packed.textContent.trim())) : askedSource();
};

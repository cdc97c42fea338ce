// Figures as inline SVG: for where people look rather than read.

const figure = (caption, picture) => h('figure', {}, h('figcaption', {}, caption), picture);
const canvas = (width, height, title, ...children) =>
  svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': title }, svg('title', {}, title), children);
const clip = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

// The full scale of a metric, guessed from its size: 1, 10, 100, 1,000, ...
const scaleOf = (value) => {
  let scale = 1;
  while (Math.abs(value) > scale * 1.0001) scale *= 10;
  return scale;
};

// One line a task: score with its 95% interval, each on its own scale.
const scorePlot = (tasks) => {
  const lines = tasks.filter((t) => t.metrics.length && !t.is_group).slice(0, 40).map((t) => [t.name, t.metrics[0]]);
  if (lines.length < 2) return null;
  const [width, left, right, step] = [460, 150, 70, 22];
  const inner = width - left - right;
  const height = lines.length * step + 22;
  const parts = [0, 0.25, 0.5, 0.75, 1].map((x) => [
    svg('line', { class: 'axis', x1: left + x * inner, x2: left + x * inner, y1: 4, y2: height - 18 }),
    svg('text', { class: 'dim', x: left + x * inner, y: height - 4, 'text-anchor': 'middle' }, `${x * 100}%`),
  ]);
  lines.forEach(([name, metric], i) => {
    const y = i * step + 16;
    const scale = scaleOf(metric.value);
    const x = (v) => left + (Math.max(0, Math.min(scale, v)) / scale) * inner;
    const half = margin(metric);
    parts.push(svg('text', { x: left - 8, y: y + 4, 'text-anchor': 'end' }, clip(name, 26)));
    if (half !== null) {
      parts.push(svg('line', { class: 'whisker', x1: x(metric.value - half), x2: x(metric.value + half), y1: y, y2: y }));
    }
    parts.push(svg('circle', { class: 'dot', cx: x(metric.value), cy: y, r: 4.5 },
      svg('title', {}, `${name} ${metric.name}: ${scored(metric)} of ${scale}`)));
    parts.push(svg('text', { class: 'dim', x: width - right + 10, y: y + 4 }, number(metric.value)));
  });
  return figure('Score of each task with its 95% interval, as a share of its scale', canvas(width, height, 'Scores', parts));
};

const barPlot = (caption, pairs, { format = number, of = null } = {}) => {
  if (!pairs.length) return null;
  const [width, left, right, step] = [460, 160, 70, 20];
  const inner = width - left - right;
  const most = of || Math.max(...pairs.map(([, v]) => Math.abs(v)), 1e-12);
  const parts = pairs.slice(0, 60).map(([name, value], i) => {
    const y = i * step + 3;
    return [
      svg('text', { x: left - 8, y: y + 11, 'text-anchor': 'end' }, clip(String(name), 27)),
      svg('rect', { class: 'bar', x: left, y, width: Math.max(1, (Math.abs(value) / most) * inner), height: 13, rx: 2 },
        svg('title', {}, `${name}: ${format(value)}`)),
      svg('text', { class: 'dim', x: left + Math.max(1, (Math.abs(value) / most) * inner) + 6, y: y + 11 }, format(value)),
    ];
  });
  return figure(caption, canvas(width, Math.min(pairs.length, 60) * step + 6, caption, parts));
};

const latencyPlot = (latency) => {
  const pairs = [];
  for (const [name, sources] of Object.entries(latency || {})) {
    for (const [source, figures] of Object.entries(sources)) {
      for (const p of ['p50', 'p90', 'p99']) {
        if (figures[p] !== null && figures[p] !== undefined) pairs.push([`${name.toUpperCase()} ${p} (${source})`, figures[p]]);
      }
    }
  }
  return barPlot('Time to the first token and for each further one', pairs, { format: seconds });
};

// Ten columns; their heights are documents.
const histogram = (caption, values, format = number) => {
  if (values.length < 3) return null;
  const low = Math.min(...values);
  const high = Math.max(...values);
  const num = low === high ? 1 : 20;
  const counts = Array(num).fill(0);
  for (const v of values) counts[Math.min(num - 1, Math.floor(((v - low) / (high - low || 1)) * num))] += 1;
  const most = Math.max(...counts);
  const [width, height, base] = [460, 134, 110];
  const step = (width - 20) / num;
  const parts = counts.map((n, i) => svg('rect', {
    class: 'bar', x: 10 + i * step + 1, width: Math.max(1, step - 2), y: base - (n / most) * 86, height: (n / most) * 86, rx: 1,
  }, svg('title', {}, `${format(low + ((high - low) * i) / num)} and more: ${n} documents`)));
  parts.push(svg('line', { class: 'axis', x1: 10, x2: width - 10, y1: base, y2: base }));
  parts.push(svg('text', { class: 'dim', x: 10, y: base + 15 }, format(low)));
  parts.push(svg('text', { class: 'dim', x: width - 10, y: base + 15, 'text-anchor': 'end' }, format(high)));
  parts.push(svg('text', { class: 'dim', x: 12, y: 10 }, `${most} document${most === 1 ? '' : 's'}`));
  return figure(caption, canvas(width, height, caption, parts));
};

const count = (n) => `${number(n)} token${n === 1 ? '' : 's'}`;

// Tokens against score: where long answers pay.
const tokenPlot = (points, caption) => {
  const known = points.filter((p) => p.tokens > 0 && p.share !== null);
  if (known.length < 2) return null;
  const [width, height, left, base] = [460, 230, 46, 200];
  const most = Math.max(...known.map((p) => p.tokens));
  const least = Math.min(...known.map((p) => p.tokens));
  const [a, b] = [Math.log10(least), Math.log10(most) + 1e-9];
  const x = (t) => left + ((Math.log10(t) - a) / (b - a || 1)) * (width - left - 24);
  const y = (s) => base - Math.max(0, Math.min(1, s)) * (base - 14);
  const parts = [0, 0.5, 1].map((s) => [
    svg('line', { class: 'axis', x1: left, x2: width - 14, y1: y(s), y2: y(s) }),
    svg('text', { class: 'dim', x: left - 6, y: y(s) + 4, 'text-anchor': 'end' }, `${s * 100}%`),
  ]);
  for (const p of known.slice(0, 3000)) {
    parts.push(svg('circle', { class: `dot ${p.kind || ''}`, cx: x(p.tokens), cy: y(p.share), r: known.length > 200 ? 2.5 : 4, 'fill-opacity': 0.75 },
      svg('title', {}, `${p.name}: ${number(p.tokens)} tokens, ${number(p.share)}`)));
  }
  parts.push(svg('text', { class: 'dim', x: left, y: base + 20 }, count(least)));
  parts.push(svg('text', { class: 'dim', x: width - 14, y: base + 20, 'text-anchor': 'end' }, count(most)));
  return figure(caption, canvas(width, height, caption, parts));
};

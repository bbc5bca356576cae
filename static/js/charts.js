// Charts: uPlot, one frame per row, all rows of a page on one x range with one gutter, and one cursor through them all.
// The server hands values and words; colours come from the tokens, so night needs no second drawing.
import { clockTime } from "./words.js";

const GUTTER = 46;
const EDGE = 10;
const drawn = new Map();
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const pixels = () => window.devicePixelRatio || 1;

const sync = window.uPlot ? window.uPlot.sync("patient") : null;

export function drawCharts(root) {
  for (const [element, chart] of drawn) if (!element.isConnected) { chart.destroy(); drawn.delete(element); }
  for (const element of root.querySelectorAll("[data-chart]")) {
    if (drawn.has(element) || !window.uPlot) continue;
    drawn.set(element, build(element, element.dataset.chart, JSON.parse(element.dataset.values)));
  }
}

new ResizeObserver(() => {
  for (const [element, chart] of drawn) if (element.isConnected) chart.setSize({ width: element.clientWidth, height: element.clientHeight });
}).observe(document.documentElement);
document.addEventListener("portal:theme", () => { for (const chart of drawn.values()) chart.redraw(false, true); });

function build(element, kind, data) {
  const options = {
    width: element.clientWidth, height: element.clientHeight, padding: [6, EDGE, 4, 0], legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false, points: { size: 6 }, ...(data.range && sync ? { sync: { key: "patient", setSeries: false } } : {}) },
    scales: { x: { time: false, range: () => data.range || data.x_range }, y: { range: () => data.y_range || [0, 1] } },
    axes: [{ show: false }, { show: false }],
    series: [{}, {}],
    hooks: { drawClear: [(chart) => ground(chart, data, kind)], draw: [], setCursor: [(chart) => readOut(element, chart, data)] },
  };
  const kinds = { axis: axisRow, risk: riskRow, sign: signRow, lab: signRow, bar: barRow, square: squareRow, trend: trendRow, columns: columnsRow };
  const values = kinds[kind](options, data);
  // uPlot remembers the pen it has set: what a hook draws must leave the pen as it was
  options.hooks.draw = options.hooks.draw.map((hook) => (chart) => { chart.ctx.save(); hook(chart); chart.ctx.restore(); });
  return new window.uPlot(options, values, element);
}

// ---------------------------------------------------------------- what lies beneath every row
function ground(chart, data, kind) {
  const { ctx, bbox } = chart;
  ctx.save();
  if (data.band) {
    const [low, high] = data.band;
    const top = chart.valToPos(Math.min(high ?? data.y_range[1], data.y_range[1]), "y", true);
    const bottom = chart.valToPos(Math.max(low ?? data.y_range[0], data.y_range[0]), "y", true);
    ctx.fillStyle = token("--normal-band");
    ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
  }
  if (data.now && data.now < data.range[1]) {
    const x = chart.valToPos(data.now, "x", true);
    ctx.fillStyle = token("--future");
    ctx.fillRect(x, bbox.top - 6 * pixels(), bbox.left + bbox.width - x, bbox.height + 12 * pixels());
    vertical(chart, data.now, "--text-3", []);
  }
  for (const tick of data.ticks || []) vertical(chart, tick.t, tick.strong && kind === "axis" ? "--grid-strong" : "--grid", []);
  for (const gap of data.gaps || []) hatch(chart, gap[0], gap[1]);
  for (const line of data.lines || []) {
    horizontal(chart, line.y, "--grid-strong", [4, 3]);
  }
  if (kind === "risk") for (const mark of data.marks || []) vertical(chart, mark.t, "--text-3", [6, 3]);
  ctx.restore();
}

function vertical(chart, value, colour, dash) {
  const { ctx, bbox } = chart;
  const x = Math.round(chart.valToPos(value, "x", true)) + 0.5;
  if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) return;
  stroke(ctx, colour, 1, dash, () => { ctx.moveTo(x, bbox.top - 6 * pixels()); ctx.lineTo(x, bbox.top + bbox.height + 6 * pixels()); });
}

function horizontal(chart, value, colour, dash) {
  const { ctx, bbox } = chart;
  const y = Math.round(chart.valToPos(value, "y", true)) + 0.5;
  stroke(ctx, colour, 1, dash, () => { ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); });
}

function stroke(ctx, colour, width, dash, path) {
  ctx.strokeStyle = token(colour);
  ctx.lineWidth = width * pixels();
  ctx.setLineDash(dash.map((part) => part * pixels()));
  ctx.beginPath();
  path();
  ctx.stroke();
  ctx.setLineDash([]);
}

function hatch(chart, from, to) {
  const { ctx, bbox } = chart;
  const left = Math.max(bbox.left, chart.valToPos(from, "x", true));
  const right = Math.min(bbox.left + bbox.width, chart.valToPos(to, "x", true));
  if (right - left < 2) return;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, bbox.top, right - left, bbox.height);
  ctx.clip();
  ctx.globalAlpha = 0.45;
  const step = 6 * pixels();
  stroke(ctx, "--level-indeterminate", 1, [], () => {
    for (let x = left - bbox.height; x < right; x += step) { ctx.moveTo(x, bbox.top + bbox.height); ctx.lineTo(x + bbox.height, bbox.top); }
  });
  ctx.restore();
}

function text(ctx, words, x, y, { colour = "--text-2", align = "left", weight = 400, halo = null, size = 12 } = {}) {
  ctx.font = `${weight} ${size * pixels()}px "Inter Variable", Inter, system-ui, sans-serif`;
  ctx.textAlign = align;
  ctx.textBaseline = "middle";
  if (halo) { ctx.strokeStyle = token(halo); ctx.lineWidth = 4 * pixels(); ctx.lineJoin = "round"; ctx.strokeText(words, x, y); }
  ctx.fillStyle = token(colour);
  ctx.fillText(words, x, y);
}

// ---------------------------------------------------------------- the kinds of rows
function valueAxis(options, data) {
  options.axes[1] = {
    show: true, size: GUTTER, gap: 6, stroke: () => token("--text-3"), font: '12px "Inter Variable", Inter, system-ui, sans-serif',
    grid: { show: false }, ticks: { show: false }, splits: () => data.y_ticks, values: (_, splits) => splits.map((value) => String(value)),
  };
}

function emptyAxis(options) {
  options.axes[1] = { show: true, size: GUTTER, stroke: "transparent", grid: { show: false }, ticks: { show: false }, splits: () => [], values: () => [] };
}

function axisRow(options, data) {
  emptyAxis(options);
  options.series[1] = { show: false };
  options.cursor.points = { show: false };
  options.hooks.draw.push((chart) => {
    const { ctx, bbox } = chart;
    for (const tick of data.ticks) {
      if (!tick.label) continue;
      const x = chart.valToPos(tick.mid ?? tick.t, "x", true);
      text(ctx, tick.label, x, bbox.top + 8 * pixels(), { align: "center", weight: 600, colour: "--text" });
      text(ctx, tick.sub, x, bbox.top + 24 * pixels(), { align: "center", colour: "--text-3" });
    }
  });
  return [data.range, [null, null]];
}

function riskRow(options, data) {
  valueAxis(options, data);
  options.padding = [18, EDGE, 4, 0];
  options.series[1] = {
    stroke: () => token("--chart-ink"), width: 1.8, spanGaps: false, paths: window.uPlot.paths.stepped({ align: 1 }),
    points: { show: data.x.length < 40, size: 5, fill: () => token("--chart-ink") },
  };
  options.hooks.draw.push((chart) => {
    const { ctx, bbox } = chart;
    for (const line of data.lines) {
      const y = chart.valToPos(line.y, "y", true) - 7 * pixels();
      text(ctx, line.label, bbox.left + 4 * pixels(), y, { colour: "--text-3", halo: "--surface" });
    }
    for (const mark of data.marks) {
      const x = chart.valToPos(mark.t, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      const right = x > bbox.left + bbox.width * 0.8;
      text(ctx, mark.label, x + (right ? -5 : 5) * pixels(), bbox.top - 8 * pixels(), { halo: "--surface", align: right ? "right" : "left" });
    }
    if (data.last) {
      const x = chart.valToPos(data.last.t, "x", true);
      const y = chart.valToPos(data.last.y, "y", true);
      shape(ctx, data.last.level, x, y, 7 * pixels());
      const right = x > bbox.left + bbox.width - 90 * pixels();
      text(ctx, data.last.label, x + (right ? -12 : 12) * pixels(), Math.max(bbox.top + 8 * pixels(), y - 10 * pixels()), { weight: 650, colour: "--text", halo: "--surface", align: right ? "right" : "left" });
    }
  });
  return [data.x, data.y];
}

function shape(ctx, level, x, y, size) {
  ctx.fillStyle = token(`--level-${level}`);
  ctx.strokeStyle = token(`--level-${level}`);
  ctx.beginPath();
  if (level === "critical") { ctx.moveTo(x, y - size); ctx.lineTo(x + size, y); ctx.lineTo(x, y + size); ctx.lineTo(x - size, y); ctx.closePath(); }
  else if (level === "high") { ctx.moveTo(x, y - size); ctx.lineTo(x + size, y + size * 0.8); ctx.lineTo(x - size, y + size * 0.8); ctx.closePath(); }
  else if (level === "moderate") ctx.rect(x - size * 0.8, y - size * 0.8, size * 1.6, size * 1.6);
  else { ctx.arc(x, y, size * 0.75, 0, 2 * Math.PI); ctx.fillStyle = token("--surface"); ctx.lineWidth = 2.2 * pixels(); ctx.fill(); ctx.stroke(); return; }
  ctx.fill();
}

function signRow(options, data) {
  valueAxis(options, data);
  const colour = data.colour || "--chart-ink";
  const few = data.x.length < 160;
  options.series = [{}];
  const columns = [data.x];
  (data.ys || [data.y]).forEach((values, place) => {
    options.series.push({
      stroke: () => token(colour), width: few ? 1.3 : 1, spanGaps: false, dash: place && !data.pair ? [5, 3] : undefined,
      points: { show: few, size: data.x.length < 60 ? 5 : 3.5, fill: () => token(colour), stroke: () => token(colour) },
    });
    columns.push(values);
  });
  options.hooks.draw.push((chart) => outOfRange(chart, data));
  return columns;
}

// A value outside its own reference range is a bigger, ringed dot: seen without colour.
function outOfRange(chart, data) {
  if (!data.out || !data.out.length) return;
  const { ctx } = chart;
  for (const [t, y] of data.out) {
    const x = chart.valToPos(t, "x", true);
    const top = chart.valToPos(y, "y", true);
    ctx.beginPath();
    ctx.arc(x, top, 4.2 * pixels(), 0, 2 * Math.PI);
    ctx.fillStyle = token("--surface");
    ctx.strokeStyle = token("--up");
    ctx.lineWidth = 2 * pixels();
    ctx.fill();
    ctx.stroke();
  }
}

function barRow(options, data) {
  emptyAxis(options);
  options.series[1] = { show: false };
  options.cursor.points = { show: false };
  options.padding = [2, EDGE, 2, 0];
  options.hooks.draw.push((chart) => {
    const { ctx, bbox } = chart;
    const middle = bbox.top + bbox.height / 2;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top - 4, bbox.width, bbox.height + 8);
    ctx.clip();
    for (const bar of data.bars) drawBar(chart, bar, middle);
    ctx.restore();
  });
  return [data.range, [null, null]];
}

function drawBar(chart, bar, middle) {
  const { ctx, bbox } = chart;
  const one = pixels();
  const from = chart.valToPos(bar.from, "x", true);
  const to = bar.to === null ? chart.valToPos(bar.until, "x", true) : chart.valToPos(bar.to, "x", true);
  if (bar.kind === "missed") {
    stroke(ctx, "--text", 1.8, [], () => {
      ctx.moveTo(from - 4 * one, middle - 4 * one); ctx.lineTo(from + 4 * one, middle + 4 * one);
      ctx.moveTo(from + 4 * one, middle - 4 * one); ctx.lineTo(from - 4 * one, middle + 4 * one);
    });
    return;
  }
  if (bar.kind === "dose") {
    ctx.fillStyle = token("--line-strong");
    ctx.fillRect(from - 1.2 * one, middle - 6 * one, 2.4 * one, 12 * one);
    return;
  }
  const height = 15 * one;
  const width = Math.max(3 * one, to - from);
  ctx.fillStyle = token(bar.grade ? `--grade-${bar.grade}` : "--sunken");
  ctx.strokeStyle = token(bar.grade ? "--grade-edge" : "--line-strong");
  ctx.lineWidth = one;
  ctx.beginPath();
  ctx.rect(from, middle - height / 2, width, height);
  if (bar.to === null) { ctx.moveTo(from + width, middle - height / 2); ctx.lineTo(from + width + 7 * one, middle); ctx.lineTo(from + width, middle + height / 2); }
  ctx.fill();
  ctx.stroke();
  if (bar.label) {
    const start = Math.max(from, bbox.left) + 6 * one;
    const room = Math.min(from + width, bbox.left + bbox.width) - start;
    const wide = 6.5 * one * bar.label.length;
    const after = from + width + (bar.to === null ? 11 : 6) * one;
    const style = { weight: 600, colour: "--text" };
    if (room > wide) text(ctx, bar.label, start, middle + 0.5 * one, { ...style, colour: bar.grade ? `--on-grade-${bar.grade}` : "--text" });
    else if (after + wide < bbox.left + bbox.width) text(ctx, bar.label, after, middle + 0.5 * one, style);
    else text(ctx, bar.label, from - 5 * one, middle + 0.5 * one, { ...style, align: "right", halo: "--surface" });
  }
}

// Predicted against observed: a square on its own axes, with the interval of each bin and the line of perfection.
function squareRow(options, data) {
  options.axes = [
    { show: true, size: 34, stroke: () => token("--text-3"), font: '12px "Inter Variable", Inter, sans-serif', grid: { stroke: () => token("--grid"), width: 1 }, ticks: { show: false }, splits: () => data.x_ticks, values: (_, splits) => splits.map(String) },
    { show: true, size: GUTTER, stroke: () => token("--text-3"), font: '12px "Inter Variable", Inter, sans-serif', grid: { stroke: () => token("--grid"), width: 1 }, ticks: { show: false }, splits: () => data.y_ticks, values: (_, splits) => splits.map(String) },
  ];
  options.cursor = { show: false };
  options.series = [{}, { stroke: () => token("--series-1"), width: 1.6, points: { show: true, size: 7, fill: () => token("--series-1") } }];
  options.hooks.draw.push((chart) => {
    const { ctx } = chart;
    const at = (x, y) => [chart.valToPos(x, "x", true), chart.valToPos(y, "y", true)];
    const end = Math.min(data.x_range[1], data.y_range[1]);
    stroke(ctx, "--text-3", 1.2, [2, 3], () => { ctx.moveTo(...at(0, 0)); ctx.lineTo(...at(end, end)); });
    for (const [x, low, high] of data.reach || []) stroke(ctx, "--series-1", 1.4, [], () => { ctx.moveTo(...at(x, low)); ctx.lineTo(...at(x, high)); });
  });
  return [data.x, data.y];
}

// Figures over days: a dot and its interval each, with named limits.
function trendRow(options, data) {
  const small = '12px "Inter Variable", Inter, sans-serif';
  valueAxis(options, data);
  options.axes[0] = { show: true, size: 26, stroke: () => token("--text-3"), font: small, grid: { show: false }, ticks: { show: false }, splits: () => data.x_ticks.map((tick) => tick.t), values: () => data.x_ticks.map((tick) => tick.label) };
  options.cursor = { show: false };
  options.series = [{}, { stroke: () => token("--chart-ink"), width: 1.2, points: { show: true, size: 7, fill: () => token("--chart-ink") } }];
  options.hooks.draw.push((chart) => {
    const { ctx, bbox } = chart;
    for (const [x, low, high] of data.reach) {
      const at = chart.valToPos(x, "x", true);
      stroke(ctx, "--chart-ink", 1.6, [], () => { ctx.moveTo(at, chart.valToPos(Math.max(low, data.y_range[0]), "y", true)); ctx.lineTo(at, chart.valToPos(high, "y", true)); });
    }
    for (const line of data.lines) text(ctx, line.label, bbox.left + bbox.width - 2 * pixels(), chart.valToPos(line.y, "y", true) - 7 * pixels(), { colour: "--text-3", halo: "--surface", align: "right" });
  });
  return [data.x, data.y];
}

// Two distributions over the same steps: one filled, one outlined.
function columnsRow(options, data) {
  options.padding = [6, 20, 4, 0];
  const small = '12px "Inter Variable", Inter, sans-serif';
  valueAxis(options, data);
  options.axes[0] = { show: true, size: 26, stroke: () => token("--text-3"), font: small, grid: { show: false }, ticks: { show: false }, splits: () => data.x_ticks, values: (_, splits) => splits.map(String) };
  options.cursor = { show: false };
  options.series = [{}, { show: false }];
  options.hooks.draw.push((chart) => {
    const { ctx } = chart;
    const box = (step, share, inset) => {
      const left = chart.valToPos(data.edges[step], "x", true) + inset * pixels();
      const right = chart.valToPos(data.edges[step + 1], "x", true) - inset * pixels();
      const top = chart.valToPos(share, "y", true);
      return [left, top, right - left, chart.valToPos(0, "y", true) - top];
    };
    ctx.fillStyle = token("--series-1");
    data.with_event.forEach((share, step) => { if (share) ctx.fillRect(...box(step, share, 2)); });
    data.without_event.forEach((share, step) => { if (share) stroke(ctx, "--chart-ink", 1.4, [], () => ctx.rect(...box(step, share, 1))); });
    stroke(ctx, "--grid-strong", 1, [], () => { const y = chart.valToPos(0, "y", true); ctx.moveTo(chart.bbox.left, y); ctx.lineTo(chart.bbox.left + chart.bbox.width, y); });
  });
  return [[0, 100], [null, null]];
}

// ---------------------------------------------------------------- the value under the cursor, in words
function readOut(element, chart, data) {
  const place = element.parentElement.querySelector("[data-readout]");
  if (!place || !data.zone) return;
  const index = chart.cursor.idx;
  if (index === null || index === undefined || chart.cursor.left < 0 || !data.y && !data.ys) { place.textContent = ""; return; }
  const values = (data.ys || [data.y]).map((column) => column[index]).filter((value) => value !== null && value !== undefined);
  place.textContent = values.length ? `${clockTime(data.x[index], data.zone, true)}: ${values.join("/")} ${data.unit || ""}` : "";
}

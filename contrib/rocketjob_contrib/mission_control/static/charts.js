// Draws with uPlot what the tables of the charts say. Without this file the charts are SVG.
"use strict";

(() => {
  const drawn = new Map(); // the plot of each figure, by its id

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // As the stylesheet has them: a colour and a dash, so that no line is told by its colour alone.
  const LOOKS = {
    completed: ["--green", []], failed: ["--red", [6, 3]], aborted: ["--muted", [2, 3]],
    p50: ["--blue", []], p95: ["--amber", [6, 3]], max: ["--red", [2, 3]],
  };
  // A colour that is light-dark(...) is known only once an element has it.
  const resolved = (element, name) => {
    element.style.color = `var(${name})`;
    const found = getComputedStyle(element).color;
    element.style.color = "";
    return found;
  };

  // Between two lines across, in seconds, as people count time.
  const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900,
    1800, 3600, 7200, 14400, 28800, 43200, 86400, 172800, 432000, 864000, 2592000];
  const WHOLE = [...Array(9).keys()].flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));
  const spans = [[86400, "d"], [3600, "h"], [60, "m"]];
  const worded = (unit) => (value) => {
    if (value == null) return "";
    if (unit === "jobs") return value.toLocaleString("en");
    for (const [size, name] of spans) if (value >= size) return `${+(value / size).toFixed(1)}${name}`;
    return value >= 1 || value === 0 ? `${+value.toFixed(1)}s` : `${+(value * 1000).toFixed(0)}ms`;
  };

  const read = (table) => {
    const rows = [...table.tBodies[0].rows].reverse();
    const columns = [rows.map((row) => Number(row.dataset.at))];
    for (let i = 1; i < table.tHead.rows[0].cells.length; i += 1) {
      columns.push(rows.map((row) => (row.cells[i].textContent === "" ? null : Number(row.cells[i].textContent))));
    }
    return columns;
  };

  const timed = (zone) => {
    const at = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options });
    const time = at({ hour: "2-digit", minute: "2-digit" });
    const day = at({ weekday: "short", day: "2-digit" });
    return (seconds) => {
      const text = time.format(seconds * 1000);
      return text === "00:00" ? day.format(seconds * 1000) : text;
    };
  };

  const marks = (figure) => (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = resolved(figure, "--violet");
    ctx.setLineDash([2, 2]);
    for (const line of figure.querySelectorAll("svg.drawn line.mark")) {
      const x = plot.valToPos(Number(line.dataset.at), "x", true);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  };

  const draw = (figure) => {
    const name = figure.id.replace("chart-", "");
    const table = document.getElementById(`table-${name}`);
    const place = document.getElementById(`plot-${name}`);
    if (!table || !place) return;
    const data = read(table);
    const known = drawn.get(name);
    if (known && known.root.parentNode === place) {
      known.setData(data);
      return;
    }
    if (known) known.destroy();
    place.replaceChildren();
    const lines = [...figure.querySelectorAll("svg.drawn g.line > title")].map((each) => each.textContent).reverse();
    const unit = figure.dataset.unit;
    const text = resolved(figure, "--muted");
    const grid = { stroke: resolved(figure, "--line"), width: 1 };
    const axis = { stroke: text, grid, ticks: grid, font: "12px system-ui, sans-serif" };
    const time = timed(figure.dataset.zone);
    const say = worded(unit);
    const height = figure.classList.contains("flat") ? 220 : 200;
    const width = () => Math.max(200, figure.clientWidth);
    const plot = new uPlot(
      {
        width: width(),
        height,
        cursor: { y: false },
        legend: { live: true },
        hooks: { draw: [marks(figure)] },
        scales: { y: { range: (_plot, _min, max) => [0, Math.max(max * 1.05, unit === "jobs" ? 1 : 0.001)] } },
        axes: [
          { ...axis, values: (_plot, splits) => splits.map(time) },
          { ...axis, size: 58, ...(unit === "jobs" ? { incrs: WHOLE } : { incrs: STEPS }), values: (_plot, splits) => splits.map(say) },
        ],
        series: [
          { label: "from", value: (_plot, at) => (at == null ? "" : time(at)) },
          ...lines.map((label) => {
            const [stroke, dash] = LOOKS[label];
            return { label, stroke: resolved(figure, stroke), dash, width: 1.6, value: (_plot, value) => say(value) };
          }),
        ],
      },
      data,
      place,
    );
    drawn.set(name, plot);
    new ResizeObserver(() => {
      if (Math.abs(plot.width - width()) > 1) plot.setSize({ width: width(), height });
    }).observe(figure);
  };

  const drawAll = () => document.querySelectorAll("figure.chart").forEach(draw);
  document.addEventListener("htmx:after:swap", drawAll);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    drawn.forEach((plot) => plot.destroy());
    drawn.clear();
    drawAll();
  });
  drawAll();
})();

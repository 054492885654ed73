"use strict";
(() => {
  // Everything is in the page without this script; it adds sorting, the raster that zooms, and unfolded details in print.

  // --- tables ---------------------------------------------------------------------------------------------------------

  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.key !== undefined) return Number(cell.dataset.key);
    const text = cell.textContent.trim();
    const number = Number(text.replace("−", "-"));
    return text !== "" && Number.isFinite(number) ? number : text;
  };

  const compare = (a, b) => {
    // A dash, which stands for nothing, comes last both ways.
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === "number") return -1;
    if (typeof b === "number") return 1;
    return a.localeCompare(b);
  };

  const sort = (table, column, head) => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [keyOf(row, column), row]);
    const nothing = (key) => key === "–" || key === "";
    rows.sort(([a], [b]) => {
      if (nothing(a) || nothing(b)) return Number(nothing(a)) - Number(nothing(b));
      return descending ? compare(b, a) : compare(a, b);
    });
    for (const [, row] of rows) body.append(row);
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, column, head));
      head.append(button);
    });
  }

  // --- the raster -----------------------------------------------------------------------------------------------------

  const decode = (text, wide) => {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    return wide ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
  };

  // Spikes by population: step and neuron of each, and where each population lies when all are stacked.
  const read = (content) => {
    const total = content.populations.reduce((sum, p) => sum + p.n, 0);
    const gap = Math.max(1, 0.03 * total);
    let base = 0;
    const populations = content.populations.map((p) => {
      const counts = decode(p.counts, p.wide);
      const neurons = decode(p.neurons, p.wide);
      const steps = new Uint32Array(neurons.length);
      let k = 0;
      counts.forEach((count, step) => {
        steps.fill(step, k, k + count);
        k += count;
      });
      // A small population beside large ones is stretched, so that its neurons can be told apart.
      const apart = Math.max(1, (0.08 * total) / Math.max(p.n, 1));
      const tasks = p.tasks === null ? null : Uint8Array.from(atob(p.tasks), (sign) => sign.charCodeAt(0));
      const found = { ...p, tasks, neurons, steps, apart, base, top: base + apart * Math.max(p.n, 1) };
      base = found.top + gap;
      return found;
    });
    return { ...content, populations, height: base - gap };
  };

  const ticksBetween = (low, high, most) => {
    const rough = (high - low) / Math.max(most, 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) {
      found.push([k * step, (k * step).toFixed(digits)]);
    }
    return found;
  };

  class Raster {
    constructor(figure, content) {
      this.data = read(content);
      this.whole = { t0: 0, t1: this.data.steps, y0: 0, y1: this.data.height };
      this.view = { ...this.whole };
      this.box = null;
      this.build(figure);
      new ResizeObserver(() => this.draw()).observe(this.canvas);
      window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    }

    build(figure) {
      const make = (name, properties = {}, ...children) => {
        const element = Object.assign(document.createElement(name), properties);
        element.append(...children);
        return element;
      };
      const caption = figure.querySelector("figcaption");
      const buttons = [
        ["Zoom in", () => this.zoom(0.5)],
        ["Zoom out", () => this.zoom(2)],
        ["Earlier", () => this.shift(-0.5)],
        ["Later", () => this.shift(0.5)],
        ["Whole", () => this.show(this.whole)],
      ].map(([text, action]) => {
        const button = make("button", { type: "button", textContent: text });
        button.addEventListener("click", action);
        return button;
      });
      this.choice = make("select", {}, make("option", { value: "", textContent: "all neurons" }));
      this.data.populations.forEach((p, k) => {
        this.choice.append(make("option", { value: String(k), textContent: `${p.name} (${p.n})` }));
      });
      this.choice.addEventListener("change", () => this.choose());
      const label = make("label", {}, "Show ", this.choice);
      this.canvas = make("canvas", { tabIndex: 0 });
      this.canvas.setAttribute("role", "application");
      this.canvas.setAttribute("aria-label", `${figure.querySelector("img").alt} Plus and minus zoom, arrows move, 0 shows the whole.`);
      this.output = make("output", {});
      const hint = "Drag a box over the picture to enlarge it, double-click for the whole. With the picture in focus: + and − zoom, arrow keys move, 0 shows the whole, the wheel zooms.";
      const bar = make("div", { className: "bar" }, ...buttons, label);
      bar.setAttribute("role", "group");
      bar.setAttribute("aria-label", "Zoom of the raster");
      const legend = make("ul", { className: "legend" });
      this.data.task_colours.forEach((colour, task) => {
        const mark = make("span");
        mark.style.background = colour;
        legend.append(make("li", {}, mark, task === 0 ? "no task" : `task ${task}`));
      });
      legend.hidden = !this.data.task_colours.length;
      const zoom = make("div", { className: "zoom" }, bar, this.canvas, legend, this.output, make("p", { className: "hint", textContent: hint }));
      figure.classList.add("zoomable");
      // How many steps are in the page is said below the raster.
      const words = caption.firstChild;
      words.textContent = words.textContent.replace(/ in the first [\d,]+ steps? of/, " of");
      figure.insertBefore(zoom, caption);
      this.listen();
    }

    listen() {
      const keys = {
        "+": () => this.zoom(0.5),
        "=": () => this.zoom(0.5),
        "-": () => this.zoom(2),
        0: () => this.show(this.whole),
        ArrowLeft: () => this.shift(-0.25),
        ArrowRight: () => this.shift(0.25),
        ArrowUp: () => this.shift(0, 0.25),
        ArrowDown: () => this.shift(0, -0.25),
      };
      this.canvas.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.altKey || event.metaKey || !keys[event.key]) return;
        event.preventDefault();
        keys[event.key]();
      });
      this.canvas.addEventListener("wheel", (event) => {
        // Only in focus, so that a page that is scrolled past is not held up.
        if (document.activeElement !== this.canvas) return;
        event.preventDefault();
        this.zoom(event.deltaY < 0 ? 0.8 : 1.25, this.at(event).t);
      }, { passive: false });
      this.canvas.addEventListener("dblclick", () => this.show(this.whole));
      this.canvas.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "touch" || event.button !== 0) return;
        this.canvas.setPointerCapture(event.pointerId);
        this.box = { from: this.at(event), to: this.at(event) };
      });
      this.canvas.addEventListener("pointermove", (event) => {
        if (!this.box) return;
        this.box.to = this.at(event);
        this.draw();
      });
      this.canvas.addEventListener("pointercancel", () => {
        this.box = null;
        this.draw();
      });
      this.canvas.addEventListener("pointerup", () => this.enlarge());
    }

    enlarge() {
      const box = this.box;
      this.box = null;
      if (!box) return;
      const [t0, t1] = [box.from.t, box.to.t].sort((a, b) => a - b);
      const [y0, y1] = [box.from.y, box.to.y].sort((a, b) => a - b);
      const large = (t1 - t0) / (this.view.t1 - this.view.t0) > 0.01 && (y1 - y0) / (this.view.y1 - this.view.y0) > 0.01;
      if (large) this.show({ t0, t1, y0, y1 });
      else this.draw();
    }

    choose() {
      const p = this.data.populations[Number(this.choice.value)];
      const rows = this.choice.value === "" ? this.whole : { y0: p.base, y1: p.top };
      this.show({ ...this.view, y0: rows.y0, y1: rows.y1 });
    }

    zoom(factor, around = (this.view.t0 + this.view.t1) / 2) {
      const { t0, t1 } = this.view;
      this.show({ ...this.view, t0: around - (around - t0) * factor, t1: around + (t1 - around) * factor });
    }

    shift(time, rows = 0) {
      const { t0, t1, y0, y1 } = this.view;
      const dt = time * (t1 - t0);
      const dy = rows * (y1 - y0);
      this.show({ t0: t0 + dt, t1: t1 + dt, y0: y0 + dy, y1: y1 + dy });
    }

    // A part of the whole, moved inside it where it sticks out.
    show(view) {
      const within = (low, high, from, to, least) => {
        const size = Math.min(Math.max(high - low, least), to - from);
        const start = Math.min(Math.max(low, from), to - size);
        return [start, start + size];
      };
      const [t0, t1] = within(view.t0, view.t1, 0, this.whole.t1, Math.min(10, this.whole.t1));
      const [y0, y1] = within(view.y0, view.y1, 0, this.whole.y1, Math.min(2, this.whole.y1));
      this.view = { t0, t1, y0, y1 };
      this.draw();
    }

    get frame() {
      const { clientWidth: width, clientHeight: height } = this.canvas;
      const left = Math.min(110, 0.26 * width);
      return { left, top: 10, width: width - left - 12, height: height - 48, full: width, tall: height };
    }

    at(event) {
      const place = this.canvas.getBoundingClientRect();
      const { left, top, width, height } = this.frame;
      const { t0, t1, y0, y1 } = this.view;
      return {
        t: t0 + ((event.clientX - place.left - left) / width) * (t1 - t0),
        y: y1 - ((event.clientY - place.top - top) / height) * (y1 - y0),
      };
    }

    draw() {
      const { left, top, width, height, full, tall } = this.frame;
      if (width <= 0) return;
      const ratio = window.devicePixelRatio || 1;
      this.canvas.width = Math.round(full * ratio);
      this.canvas.height = Math.round(tall * ratio);
      const pen = this.canvas.getContext("2d");
      pen.scale(ratio, ratio);
      const style = getComputedStyle(document.documentElement);
      [this.ink, this.quiet, this.line] = ["--text", "--quiet", "--line"].map((name) => style.getPropertyValue(name));
      pen.fillStyle = style.getPropertyValue("--page");
      pen.fillRect(0, 0, full, tall);
      const { t0, t1, y0, y1 } = this.view;
      const x = (t) => left + ((t - t0) / (t1 - t0)) * width;
      const y = (row) => top + ((y1 - row) / (y1 - y0)) * height;
      const shown = this.dots(pen, x, y, { left, top, width, height });
      this.axes(pen, x, y, { left, top, width, height, full });
      if (this.box) {
        const { from, to } = this.box;
        pen.strokeStyle = this.ink;
        pen.setLineDash([5, 3]);
        pen.strokeRect(x(from.t), y(from.y), x(to.t) - x(from.t), y(to.y) - y(from.y));
        pen.setLineDash([]);
      }
      const time = (step) => (step * this.data.dt).toFixed(3);
      const cut = this.data.steps < this.data.of ? ` The first ${this.data.steps.toLocaleString("en")} of ${this.data.of.toLocaleString("en")} steps are in this page.` : "";
      this.output.value = `Shown: ${time(t0)} s to ${time(t1)} s, ${shown.toLocaleString("en")} ${shown === 1 ? "spike" : "spikes"}.${cut}`;
    }

    dots(pen, x, y, { left, top, width, height }) {
      const { t0, t1, y0, y1 } = this.view;
      pen.save();
      pen.beginPath();
      pen.rect(left, top, width, height);
      pen.clip();
      let shown = 0;
      for (const p of this.data.populations) {
        // Few spikes get dots that can be seen, many get dots that do not run together.
        const least = p.neurons.length < 5000 ? 2.4 : 1.2;
        const wide = Math.min(Math.max((0.7 * width) / (t1 - t0), least), 5);
        const tall = Math.min(Math.max((0.7 * height * p.apart) / (y1 - y0), least), 5);
        pen.fillStyle = this.data.task_colours.length ? this.data.task_colours[0] : p.colour;
        for (let k = 0; k < p.neurons.length; k += 1) {
          const step = p.steps[k] + 0.5;
          const row = p.base + p.apart * (p.neurons[k] + 0.5);
          if (step < t0 || step > t1 || row < y0 || row > y1) continue;
          shown += 1;
          if (p.tasks) pen.fillStyle = this.data.task_colours[p.tasks[p.neurons[k]]];
          pen.fillRect(x(step) - wide / 2, y(row) - tall / 2, wide, tall);
        }
      }
      pen.restore();
      return shown;
    }

    axes(pen, x, y, { left, top, width, height, full }) {
      const { t0, t1, y0, y1 } = this.view;
      const dt = this.data.dt;
      pen.strokeStyle = this.ink;
      pen.fillStyle = this.ink;
      pen.font = "12px system-ui, sans-serif";
      pen.beginPath();
      pen.moveTo(left, top);
      pen.lineTo(left, top + height);
      pen.lineTo(left + width, top + height);
      pen.stroke();
      pen.textAlign = "center";
      for (const [value, text] of ticksBetween(t0 * dt, t1 * dt, width / 80)) {
        const at = x(value / dt);
        pen.fillRect(at - 0.5, top + height, 1, 5);
        pen.fillText(text, Math.min(at, full - 14), top + height + 18);
      }
      pen.fillText("time (s)", left + width / 2, top + height + 35);
      pen.textAlign = "right";
      for (const p of this.data.populations) {
        const [low, high] = [Math.max(p.base, y0), Math.min(p.top, y1)];
        if (low >= high) continue;
        const first = Math.max(0, Math.floor((low - p.base) / p.apart));
        const last = Math.min(p.n, Math.ceil((high - p.base) / p.apart)) - 1;
        const middle = (y(low) + y(high)) / 2;
        pen.fillStyle = this.ink;
        pen.fillText(p.name, left - 8, middle - 1, left - 10);
        pen.fillStyle = this.quiet;
        pen.fillText(first === 0 && last === p.n - 1 ? `${p.n} neurons` : `${first} to ${last}`, left - 8, middle + 13, left - 10);
        if (p.base > y0) {
          pen.fillStyle = this.line;
          pen.fillRect(left, y(p.base) + 1, width, 1);
        }
      }
    }
  }

  for (const holder of document.querySelectorAll("script.spikes")) {
    new Raster(holder.closest("figure"), JSON.parse(holder.textContent));
  }

  // --- values on hover --------------------------------------------------------------------------------------------------

  for (const holder of document.querySelectorAll("script.points")) {
    const picture = holder.closest("figure").querySelector("img");
    const points = JSON.parse(holder.textContent);
    const [frame, tip, mark] = ["frame", "tip", "mark"].map((name) => {
      const part = document.createElement("div");
      part.className = name;
      return part;
    });
    for (const part of [tip, mark]) {
      part.hidden = true;
      part.setAttribute("aria-hidden", "true");
    }
    picture.replaceWith(frame);
    frame.append(picture, mark, tip);
    const hide = () => {
      tip.hidden = true;
      mark.hidden = true;
    };
    frame.addEventListener("pointerleave", hide);
    frame.addEventListener("pointermove", (event) => {
      const { left, top, width, height } = picture.getBoundingClientRect();
      const away = ([x, y]) => Math.hypot(event.clientX - left - x * width, event.clientY - top - y * height);
      const near = points.reduce((best, point) => (away(point) < away(best) ? point : best));
      // Farther away than a finger is wide, nothing is meant.
      if (away(near) > 28) {
        hide();
        return;
      }
      const [x, y, text] = near;
      tip.textContent = text;
      for (const part of [tip, mark]) part.hidden = false;
      mark.style.left = `${100 * x}%`;
      mark.style.top = `${100 * y}%`;
      // Towards the middle, so that it stays within the picture.
      tip.style.left = x < 0.5 ? `calc(${100 * x}% + 12px)` : "";
      tip.style.right = x < 0.5 ? "" : `calc(${100 - 100 * x}% + 12px)`;
      tip.style.top = `calc(${100 * y}% + ${y < 0.5 ? 10 : -34}px)`;
    });
  }

  // --- animations -----------------------------------------------------------------------------------------------------

  // A picture that moves starts anew whenever it is unfolded, and only then.
  for (const part of document.querySelectorAll("details.moving")) {
    part.addEventListener("toggle", () => {
      for (const picture of part.open ? part.querySelectorAll("img") : []) {
        const source = picture.src;
        picture.src = "data:,";
        picture.src = source;
      }
    });
  }

  // --- links ----------------------------------------------------------------------------------------------------------

  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(window.location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  window.addEventListener("hashchange", unfold);
  unfold();

  // --- print ----------------------------------------------------------------------------------------------------------

  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const part of opened) part.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const part of opened) part.open = false;
    opened = [];
  });
})();

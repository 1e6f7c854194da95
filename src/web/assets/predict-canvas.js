// The map of people × genes on a canvas: only the pixels in view are drawn, from the level of the pyramid that fits.

import { colours, hatch, isDark, isHatched, onTheme } from "./predict-colour.js";
import { count, several, theme } from "./predict-dom.js";

/** Room for the names of people, wide and on a phone, and of genes. */
const [ROOMY, TIGHT] = [92, 64];
const TOP = 76;
/** The largest cell, and the least one that has room for a label. */
const MOST = 44;
const LABELLED = 12;
/** Pixels that a press may move and still be a click. */
const STILL = 5;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class MapCanvas {
  /** `labels` names rows and columns by their place in the answer; `on` hears of `point`, `key` and `choose`. */
  constructor(canvas, labels, on) {
    Object.assign(this, { canvas, labels, on, zoom: 1, x: 0, y: 0, cursor: null, chosen: {}, found: new Set() });
    this.context = canvas.getContext("2d");
    this.pointers = new Map();
    this.wanted = false;
    this.listen();
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(canvas.parentElement);
    this.ending = new AbortController();
    onTheme(() => this.redraw(), this.ending.signal);
    this.resize();
  }

  /** Takes a matrix in its order; what is in view stays. */
  show({ levels, people, genes }, scale) {
    const marked = this.cursor && this.of(this.cursor);
    Object.assign(this, { levels, people, genes, table: colours(scale) });
    this.rowOf = inverse(people);
    this.columnOf = inverse(genes);
    this.cursor = marked && { row: this.rowOf[marked.person], column: this.columnOf[marked.gene] };
    this.resize();
  }

  end() {
    this.watch.disconnect();
    this.ending.abort();
    this.levels = null;
  }

  resize() {
    const width = this.canvas.parentElement.clientWidth;
    const { people, genes } = this.labels;
    this.left = width < 480 ? TIGHT : ROOMY;
    this.width = Math.max(60, Math.min(width - this.left - 2, genes.length * MOST));
    this.height = clamp(people.length * 22, 44, Math.max(260, Math.min(560, innerHeight * 0.7)));
    // Twice the page's pixels at most: more are not seen and would have to be filled.
    this.density = Math.min(devicePixelRatio || 1, 2);
    this.canvas.width = Math.round((this.left + this.width + 1) * this.density);
    this.canvas.height = Math.round((TOP + this.height + 1) * this.density);
    this.canvas.style.width = `${this.left + this.width + 1}px`;
    this.canvas.style.height = `${TOP + this.height + 1}px`;
    this.image = this.context.createImageData(
      Math.round(this.width * this.density),
      Math.round(this.height * this.density),
    );
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.go(this.x, this.y, this.zoom);
  }

  /** Cells a device pixel where all is in view. */
  get fit() {
    return [
      this.labels.genes.length / (this.width * this.density),
      this.labels.people.length / (this.height * this.density),
    ];
  }

  /** Page pixels a cell, across and down, at a zoom. */
  scaleAt(zoom) {
    const across = this.width / this.labels.genes.length;
    const down = this.height / this.labels.people.length;
    return [Math.max(across, Math.min(across * zoom, MOST)), Math.max(down, Math.min(down * zoom, MOST / 2))];
  }

  get mostZoom() {
    const [across, down] = this.scaleAt(1);
    return Math.max(1, MOST / across, MOST / 2 / down);
  }

  go(x, y, zoom) {
    this.zoom = clamp(zoom, 1, this.mostZoom);
    const [across, down] = this.scaleAt(this.zoom);
    this.x = clamp(x, 0, Math.max(0, this.labels.genes.length - this.width / across));
    this.y = clamp(y, 0, Math.max(0, this.labels.people.length - this.height / down));
    this.canvas.style.touchAction = this.zoom > 1 ? "none" : "pan-y";
    this.redraw();
  }

  /** Zooms about a point of the page, or the middle; returns whether that changed anything. */
  zoomBy(factor, at = { left: this.left + this.width / 2, top: TOP + this.height / 2 }) {
    const before = this.zoom;
    const [across, down] = this.scaleAt(before);
    const zoom = clamp(before * factor, 1, this.mostZoom);
    const [wide, high] = this.scaleAt(zoom);
    const [dx, dy] = [at.left - this.left, at.top - TOP];
    this.go(this.x + dx / across - dx / wide, this.y + dy / down - dy / high, zoom);
    return this.zoom !== before;
  }

  reset() {
    this.go(0, 0, 1);
  }

  /** The cell at a point, or null. */
  cellAt({ left, top }) {
    const [across, down] = this.scaleAt(this.zoom);
    const column = Math.floor(this.x + (left - this.left) / across);
    const row = Math.floor(this.y + (top - TOP) / down);
    const { people, genes } = this.labels;
    const inside = left >= this.left && top >= TOP && column < genes.length && row < people.length;
    return inside ? { row, column } : null;
  }

  /** Person and gene of a cell, by their places in the answer. */
  of({ row, column }) {
    return { person: this.people[row], gene: this.genes[column] };
  }

  /** Puts the cursor on a cell and brings it into view. */
  moveTo(row, column, closer = false) {
    this.cursor = {
      row: clamp(row, 0, this.labels.people.length - 1),
      column: clamp(column, 0, this.labels.genes.length - 1),
    };
    if (closer) this.zoom = this.mostZoom;
    const [across, down] = this.scaleAt(this.zoom);
    const [wide, high] = [this.width / across, this.height / down];
    const into = (from, at, size) => (closer ? at - size / 2 : clamp(from, at - size + 1, at));
    this.go(into(this.x, this.cursor.column, wide), into(this.y, this.cursor.row, high), this.zoom);
    this.on.key(this.of(this.cursor));
  }

  /** Marks what was chosen, and puts the cursor there. */
  choose(chosen) {
    this.chosen = { ...chosen };
    this.cursor = { row: this.rowOf[chosen.person], column: this.columnOf[chosen.gene] };
    this.redraw();
  }

  listen() {
    const at = (event) => ({ left: event.offsetX, top: event.offsetY });
    const handlers = {
      wheel: (event) => {
        // Who only scrolls past the map does not mean it; at either end of the zoom the page scrolls on.
        if (document.activeElement !== this.canvas && !event.ctrlKey) return;
        const isZoomed = this.zoomBy(1.0015 ** -clamp(event.deltaY * (event.deltaMode ? 30 : 1), -400, 400), at(event));
        // With Ctrl the browser would make the whole page larger.
        if (isZoomed || event.ctrlKey) event.preventDefault();
      },
      pointerdown: (event) => {
        this.canvas.setPointerCapture(event.pointerId);
        this.pointers.set(event.pointerId, at(event));
        this.moved = 0;
        this.pinched = this.pointers.size > 1;
      },
      pointermove: (event) => {
        const cell = this.cellAt(at(event));
        const last = this.pointers.get(event.pointerId);
        if (last) this.drag(event.pointerId, last, at(event));
        else this.on.point(cell && this.of(cell));
      },
      pointerup: (event) => {
        const cell = this.cellAt(at(event));
        if (this.pointers.delete(event.pointerId) && this.moved < STILL && !this.pinched && cell) {
          this.cursor = cell;
          this.on.choose(this.of(cell));
        }
      },
      pointercancel: (event) => this.pointers.delete(event.pointerId),
      pointerleave: () => this.on.point(null),
      dblclick: () => this.reset(),
      keydown: (event) => this.key(event),
    };
    for (const [name, handler] of Object.entries(handlers)) {
      this.canvas.addEventListener(name, handler, { passive: false });
    }
  }

  drag(id, last, now) {
    const others = [...this.pointers].filter(([other]) => other !== id).map(([, point]) => point);
    if (others.length > 0) {
      const apart = (point) => Math.hypot(point.left - others[0].left, point.top - others[0].top) || 1;
      const middle = { left: (now.left + others[0].left) / 2, top: (now.top + others[0].top) / 2 };
      this.zoomBy(apart(now) / apart(last), middle);
    } else {
      const [across, down] = this.scaleAt(this.zoom);
      this.moved += Math.hypot(now.left - last.left, now.top - last.top);
      this.go(this.x - (now.left - last.left) / across, this.y - (now.top - last.top) / down, this.zoom);
    }
    this.pointers.set(id, now);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [across, down] = this.scaleAt(this.zoom);
    const { row, column } = this.cursor ?? { row: Math.ceil(this.y), column: Math.ceil(this.x) };
    const step = event.shiftKey ? 10 : 1;
    const page = Math.max(1, Math.floor(this.height / down));
    const start = this.cursor ? step : 0;
    const seen = this.cursor && this.pointOf(this.cursor, across, down);
    const middle = seen && this.cellAt(seen) && seen.left < this.left + this.width ? seen : undefined;
    const moves = {
      ArrowUp: () => this.moveTo(row - start, column),
      ArrowDown: () => this.moveTo(row + start, column),
      ArrowLeft: () => this.moveTo(row, column - start),
      ArrowRight: () => this.moveTo(row, column + start),
      Home: () => this.moveTo(row, 0),
      End: () => this.moveTo(row, this.labels.genes.length - 1),
      PageUp: () => this.moveTo(row - page, column),
      PageDown: () => this.moveTo(row + page, column),
      "+": () => this.zoomBy(1.5, middle),
      "-": () => this.zoomBy(1 / 1.5, middle),
      0: () => this.reset(),
      Enter: () => this.cursor && this.on.choose(this.of(this.cursor)),
    };
    moves["="] = moves["+"];
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  }

  pointOf({ row, column }, across, down) {
    return { left: this.left + (column + 0.5 - this.x) * across, top: TOP + (row + 0.5 - this.y) * down };
  }

  redraw() {
    if (this.wanted || !this.levels) return;
    this.wanted = true;
    requestAnimationFrame(() => {
      this.wanted = false;
      if (this.levels) this.draw();
    });
  }

  draw() {
    const { context, density } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.fillPixels();
    context.putImageData(this.image, Math.round(this.left * density), Math.round(TOP * density));
    context.setTransform(density, 0, 0, density, 0, 0);
    this.drawLabels();
    this.drawMarks();
  }

  /** Fills the plot, a code a pixel. */
  fillPixels() {
    const { image, pixels, table, density } = this;
    const { width, height } = image;
    const [across, down] = this.scaleAt(this.zoom).map((size) => size * density);
    const fits = ({ x, y }) => x * across <= Math.max(1, across) + 1e-6 && y * down <= Math.max(1, down) + 1e-6;
    const level = this.levels.findLast(fits) ?? this.levels[0];
    const columns = new Int32Array(width);
    for (let i = 0; i < width; i++) {
      const column = Math.floor((this.x + (i + 0.5) / across) / level.x);
      columns[i] = column < level.width ? column : -1;
    }
    const [plain, line] = hatch(isDark());
    let [before, uniform] = [-1, false];
    for (let j = 0; j < height; j++) {
      const row = Math.floor((this.y + (j + 0.5) / down) / level.y);
      const to = j * width;
      if (row === before && uniform) {
        pixels.copyWithin(to, to - width, to);
        continue;
      }
      [before, uniform] = [row, true];
      const from = row * level.width;
      for (let i = 0; i < width; i++) {
        const code = columns[i] < 0 || row >= level.height ? -1 : level.codes[from + columns[i]];
        if (code > 0) pixels[to + i] = table[code];
        else if (code < 0) pixels[to + i] = 0;
        else {
          uniform = false;
          pixels[to + i] = isHatched(i, j) ? line : plain;
        }
      }
    }
  }

  drawLabels() {
    const { context } = this;
    const [across, down] = this.scaleAt(this.zoom);
    const { people, genes } = this.labels;
    const [ink, accent] = [theme("--ink"), theme("--accent")];
    const font = (bold) => `${bold ? "600 " : ""}11px system-ui, sans-serif`;
    context.textBaseline = "middle";
    const each = (size, from, length, names, order, chosen, write) => {
      const last = Math.min(names.length, Math.ceil(from + length / size));
      for (let at = Math.max(0, Math.floor(from)); at < last; at++) {
        const isChosen = order[at] === chosen;
        if (size < LABELLED && !isChosen) continue;
        context.font = font(isChosen);
        context.fillStyle = isChosen ? accent : ink;
        const place = (at + 0.5 - from) * size;
        if (place > 4 && place < length - 4) write(names[order[at]], place);
      }
    };
    context.textAlign = "right";
    each(down, this.y, this.height, people, this.people, this.chosen.person, (name, place) =>
      context.fillText(shortened(context, name, this.left - 10), this.left - 6, TOP + place),
    );
    context.textAlign = "left";
    each(across, this.x, this.width, genes, this.genes, this.chosen.gene, (name, place) => {
      context.save();
      context.translate(this.left + place, TOP - 8);
      context.rotate(-Math.PI / 2);
      context.fillText(shortened(context, name, TOP - 10), 0, 0);
      context.restore();
    });
    context.font = font(false);
    context.fillStyle = theme("--soft");
    if (across < LABELLED) context.fillText(`${several(genes.length, "gene")} →`, this.left, 10);
    context.textAlign = "left";
    if (down < LABELLED) context.fillText(`${count(people.length)} people ↓`, 0, TOP - 10);
  }

  drawMarks() {
    const { context } = this;
    const [across, down] = this.scaleAt(this.zoom);
    context.save();
    context.strokeStyle = theme("--edge");
    context.lineWidth = 1;
    context.strokeRect(
      this.left - 0.5,
      TOP - 0.5,
      Math.min(this.width, across * this.labels.genes.length) + 1,
      Math.min(this.height, down * this.labels.people.length) + 1,
    );
    context.fillStyle = theme("--ink");
    for (const gene of this.found) {
      const place = this.left + (this.columnOf[gene] + 0.5 - this.x) * across;
      if (place >= this.left && place <= this.left + this.width) context.fillRect(place - 1, TOP - 5, 2, 5);
    }
    context.beginPath();
    context.rect(this.left - 2, TOP - 2, this.width + 4, this.height + 4);
    context.clip();
    const box = (row, column, rows, columns, colours) => {
      const [wide, high] = [Math.max(columns * across, 3), Math.max(rows * down, 3)];
      const middle = { row: row + (rows - 1) / 2, column: column + (columns - 1) / 2 };
      const { left, top } = this.pointOf(middle, across, down);
      colours.forEach(([colour, thick]) => {
        context.strokeStyle = colour;
        context.lineWidth = thick;
        context.strokeRect(left - wide / 2, top - high / 2, wide, high);
      });
    };
    const { gene, person } = this.chosen;
    const accent = [
      ["#ffffff", 3],
      ["#000000", 1],
    ];
    if (gene !== undefined) box(0, this.columnOf[gene], this.labels.people.length, 1, accent);
    if (person !== undefined) box(this.rowOf[person], 0, 1, this.labels.genes.length, accent);
    if (this.cursor)
      box(this.cursor.row, this.cursor.column, 1, 1, [
        ["#ffffff", 5],
        ["#000000", 2.5],
      ]);
    context.restore();
  }
}

function inverse(order) {
  const places = new Int32Array(order.length);
  order.forEach((of, at) => (places[of] = at));
  return places;
}

/** A label cut to a width. */
function shortened(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = Math.max(1, Math.floor((text.length * width) / context.measureText(text).width));
  while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > width) length--;
  return `${text.slice(0, length)}…`;
}

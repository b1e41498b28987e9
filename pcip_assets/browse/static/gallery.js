// The gallery: crops of cells, coloured in the browser, so that channels and contrast change at once.

import {askBytes, byId, element} from "./server.js";

export class Gallery {
  constructor(state, onOpen) {
    this.onOpen = onOpen;
    this.size = state.size_px;
    this.channels = state.channels.map((channel) => ({...channel, on: true, low: 0, high: 1}));
    this.cells = [];
    this.marked = new Set();
    this.hovered = null;
    this.last = null;
    this.same = false;
    this.reference = null;  // row of the cell that the others are compared with
    this.colourOf = () => "#555";
    this.controls();
  }

  controls() {
    const shown = this.channels.map((channel) => {
      const swatch = element("span", {className: "swatch"});
      swatch.style.background = `rgb(${channel.colour.map((band) => Math.round(band * 255)).join(",")})`;
      const slider = (end, value) => element("input", {
        type: "range", min: 0, max: 1, step: 0.01, value, title: `${channel.name}: ${end === "low" ? "black" : "full"} at`,
        oninput: (event) => { channel[end] = Number(event.target.value); this.paint(); },
      });
      return element("span", {className: "channel"},
        element("label", {}, element("input", {
          type: "checkbox", checked: true, onchange: (event) => { channel.on = event.target.checked; this.paint(); },
        }), swatch, channel.name),
        slider("low", 0), slider("high", 1));
    });
    shown.push(element("label", {title: "Each crop is scaled from its least to its greatest grey level; this shows all crops shown on one scale"},
      element("input", {type: "checkbox", id: "same-scale", onchange: (event) => { this.same = event.target.checked; this.paint(); }}),
      "one scale for all cells"));
    byId("channels").replaceChildren(...shown);
  }

  async show(cells) {
    this.cells = cells;
    this.marked.clear();
    this.hovered = this.last = null;
    this.pixels = null;
    const tiles = cells.map((cell, place) => this.tile(cell, place));
    byId("gallery").replaceChildren(...tiles);
    byId("gallery").scrollTop = 0;
    this.captions();
    if (!cells.length) return;
    const bytes = await askBytes("crops", {rows: cells.map((cell) => cell.row)});
    if (this.cells !== cells) return;
    const n = cells.length, count = this.channels.length;
    this.low = new Float32Array(bytes, 0, n * count);
    this.high = new Float32Array(bytes, 4 * n * count, n * count);
    this.pixels = new Uint8Array(bytes, 8 * n * count);
    this.paint();
  }

  tile(cell, place) {
    const canvas = element("canvas", {width: this.size, height: this.size});
    const open = element("button", {className: "open", title: "Details, its field, similar cells (double click)"}, "…");
    const tile = element("div", {className: "tile", title: summary(cell)}, canvas,
      element("div", {className: "given"}), open,
      element("div", {className: "caption"}), element("div", {className: "guess"}));
    tile.dataset.cell = cell.values.cell_id;
    open.addEventListener("click", (event) => { event.stopPropagation(); this.onOpen(place); });
    tile.addEventListener("click", (event) => this.mark(place, event.shiftKey));
    tile.addEventListener("dblclick", () => { this.marked.delete(place); this.marks(); this.onOpen(place); });
    tile.addEventListener("pointerenter", () => { this.hovered = place; });
    tile.addEventListener("pointerleave", () => { this.hovered = null; });
    return tile;
  }

  captions() {
    [...byId("gallery").children].forEach((tile, place) => {
      const {label, predicted, values} = this.cells[place];
      const given = tile.querySelector(".given");
      given.textContent = label ?? "";
      given.style.background = label ? this.colourOf(label) : "transparent";
      tile.querySelector(".caption").textContent = values.protein ?? values.cell_id;
      tile.querySelector(".guess").textContent = predicted ? `${Math.round(predicted.probability * 100)} % ${predicted.label}` : "";
      tile.querySelector(".guess").hidden = !predicted;
      tile.classList.toggle("reference", this.cells[place].row === this.reference);
    });
  }

  mark(place, range) {
    if (range && this.last !== null) {
      for (let each = Math.min(place, this.last); each <= Math.max(place, this.last); each++) this.marked.add(each);
    } else if (!this.marked.delete(place)) this.marked.add(place);
    this.last = place;
    this.marks();
  }

  markAll(all) {
    this.marked = new Set(all ? this.cells.keys() : []);
    this.marks();
  }

  marks() {
    [...byId("gallery").children].forEach((tile, place) => tile.classList.toggle("marked", this.marked.has(place)));
  }

  // The rows that a key or a button is about: the marked cells, or the cell under the pointer.
  chosen() {
    if (this.marked.size) return [...this.marked].map((place) => this.cells[place].row);
    return this.hovered === null ? [] : [this.cells[this.hovered].row];
  }

  paint() {
    if (!this.pixels) return;
    const scales = this.same ? this.scales() : null;
    [...byId("gallery").children].forEach((tile, place) => this.draw(tile.querySelector("canvas"), place, scales));
    this.onPaint?.();
  }

  // The range of grey levels of each channel over all cells shown.
  scales() {
    const count = this.channels.length;
    return this.channels.map((_, channel) => {
      let low = Infinity, high = -Infinity;
      for (let place = 0; place < this.cells.length; place++) {
        low = Math.min(low, this.low[place * count + channel]);
        high = Math.max(high, this.high[place * count + channel]);
      }
      return [low, high];
    });
  }

  draw(canvas, place, scales = this.same ? this.scales() : null) {
    const area = this.size * this.size, count = this.channels.length;
    const image = new ImageData(this.size, this.size), out = image.data;
    this.channels.forEach((channel, number) => {
      if (!channel.on) return;
      let first = 0, last = 1;  // of the crop's own range
      if (scales) {
        const [low, high] = scales[number], span = Math.max(high - low, 1e-9);
        first = (this.low[place * count + number] - low) / span;
        last = (this.high[place * count + number] - low) / span;
      }
      const start = (place * count + number) * area, range = Math.max(channel.high - channel.low, 0.004);
      for (let pixel = 0; pixel < area; pixel++) {
        const unit = first + (this.pixels[start + pixel] / 255) * (last - first);
        const shown = 255 * Math.min(Math.max((unit - channel.low) / range, 0), 1);
        for (let band = 0; band < 3; band++) out[4 * pixel + band] += shown * channel.colour[band];
      }
    });
    for (let pixel = 0; pixel < area; pixel++) out[4 * pixel + 3] = 255;
    canvas.width = canvas.height = this.size;
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

const summary = ({values}) => ["cell_id", "protein", "gene", "cell_line", "localization", "plate", "well"]
  .filter((name) => values[name]).map((name) => `${name}: ${values[name]}`).join("\n");

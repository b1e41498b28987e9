// One cell: a larger picture, what is known of it, its field, and cells like it.

import {ask, byId, element} from "./server.js";

export class Detail {
  constructor(gallery, {similar}) {
    this.gallery = gallery;
    this.cell = null;
    gallery.onPaint = () => this.paint();
    byId("detail-close").addEventListener("click", () => this.close());
    byId("similar-all").addEventListener("click", () => similar(this.cell.row, false));
    byId("similar-selected").addEventListener("click", () => similar(this.cell.row, true));
    byId("field").addEventListener("click", () => this.field());
  }

  open(cell) {
    this.cell = cell;
    byId("detail").hidden = false;
    byId("field-picture").replaceChildren();
    this.paint();
    const {label, predicted, values} = cell;
    const rows = {label, predicted: predicted && `${predicted.label}, ${(predicted.probability * 100).toFixed(0)} %`, ...values};
    byId("values").replaceChildren(...Object.entries(rows).filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => element("tr", {}, element("th", {}, name), element("td", {}, text(value)))));
  }

  close() {
    byId("detail").hidden = true;
    this.cell = null;
  }

  // Drawn from the gallery, as long as the cell is on its page.
  paint() {
    const place = this.gallery.cells.findIndex((each) => each.row === this.cell?.row);
    if (place >= 0 && this.gallery.pixels) this.gallery.draw(byId("detail-picture"), place);
  }

  async field() {
    const cell = this.cell, box = byId("field-picture");
    box.replaceChildren(element("p", {className: "hint"}, "reading and segmenting the field…"));
    try {
      const {field, note, png} = await ask("field", {row: cell.row});
      if (this.cell !== cell) return;
      const picture = element("img", {src: `data:image/png;base64,${png}`, alt: `field ${field}`,
        onclick: () => box.classList.toggle("large")});
      box.replaceChildren(picture, element("p", {className: "hint"}, `Field ${field}: this cell is outlined in yellow. ${note}`));
    } catch { box.replaceChildren(); }
  }
}

const text = (value) => (typeof value === "number" && !Number.isInteger(value) ? value.toFixed(1) : String(value));

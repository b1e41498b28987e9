// The map: Bokeh's tools around a picture that the server draws anew for each view.

import {ask, askBytes, byId, element} from "./server.js";

const SETTLING_MS = 40;
const NEVER_MS = 2 ** 31 - 1;  // the longest time that a browser can wait for

export class MapView {
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.map = null;
    this.colour = "density";
    this.condition = "";
    this.selection = null;  // marked: all of it, or one page of the gallery
    this.page = null;
    this.asked = 0;
    this.drawing = false;
    this.waiting = false;  // a newer view than the one that is being drawn
  }

  async open() {
    const item = await (await fetch("/figure")).json();
    const views = await Bokeh.embed.embed_item(item, "map");
    const page = Bokeh.documents[0];
    this.plot = page.get_model_by_name("map");
    // Bokeh takes a button that is held still for 0.3 s for a press, after which no lasso is drawn however far it moves.
    const gestures = views.get(this.plot)?.canvas?.ui_event_bus?.ui_gestures?.constructor;
    if (gestures) gestures.press_threshold = NEVER_MS;
    this.source = page.get_model_by_name("picture");
    this.image = this.source.data.image[0].constructor;
    this.plot.on_event("rangesupdate", () => this.later());
    this.plot.on_event("reset", () => this.fit());
    this.plot.on_event("selectiongeometry", (event) => { if (event.final) this.selected(event.geometry); });
    for (const side of ["inner_width", "inner_height"]) {
      this.plot.properties[side].change.connect(() => this.later());
    }
  }

  async show(map) {
    this.map = map;
    const {limits, points} = await ask("limits", {map});
    this.limits = limits;
    this.points = points;
    this.fit();
    await this.legend();
  }

  fit() {
    if (!this.limits) return;
    const [x0, x1, y0, y1] = this.limits;
    this.plot.x_range.setv({start: x0, end: x1});
    this.plot.y_range.setv({start: y0, end: y1});
    this.later();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.draw(), SETTLING_MS);
  }

  // One picture at a time: what was asked for meanwhile is drawn after it, and only the last of it.
  async draw() {
    if (!this.map) return;
    if (!(this.plot.inner_width > 0 && this.plot.inner_height > 0)) return this.later();
    this.waiting = true;
    if (this.drawing) return;
    this.drawing = true;
    try {
      while (this.waiting) {
        this.waiting = false;
        await this.picture();
      }
    } finally { this.drawing = false; }
  }

  async picture() {
    const width = Math.round(this.plot.inner_width), height = Math.round(this.plot.inner_height);
    const {x_range: x, y_range: y} = this.plot;
    const number = ++this.asked;
    const limits = [x.start, x.end, y.start, y.end];
    const pixels = await askBytes("picture", {
      map: this.map, limits, width, height, colour: this.colour, condition: this.condition, selection: this.selection, page: this.page,
    });
    this.source.data = {
      image: [new this.image(new Uint32Array(pixels), [height, width])],
      x: [limits[0]], y: [limits[2]], dw: [limits[1] - limits[0]], dh: [limits[3] - limits[2]],
    };
    document.body.dataset.pictures = String(number);
  }

  selected(geometry) {
    const region = geometry.type === "poly"
      ? {type: "poly", x: Array.from(Object.values(geometry.x)), y: Array.from(Object.values(geometry.y))}
      : {type: "rect", x0: geometry.x0, x1: geometry.x1, y0: geometry.y0, y1: geometry.y1};
    if (region.type === "poly" && region.x.length < 3) return;
    this.onSelect(region);
  }

  async legend() {
    const {legend} = await ask("legend", {map: this.map, colour: this.colour});
    const shown = [];
    for (const entry of legend) {
      if (entry.colours) {
        const ramp = element("span", {className: "ramp"});
        ramp.style.background = `linear-gradient(to right, ${entry.colours.join(", ")})`;
        shown.push(element("span", {}, shortened(entry.from), ramp, shortened(entry.to)));
      } else {
        const swatch = element("span", {className: "swatch"});
        swatch.style.background = entry.colour;
        shown.push(element("span", {}, swatch, `${entry.name ?? "none, or others"} (${entry.count.toLocaleString("en")})`));
      }
    }
    if (!legend.length) shown.push(element("span", {}, `${this.points.toLocaleString("en")} points; darker where they are dense`));
    byId("legend").replaceChildren(...shown);
  }
}

const shortened = (value) => Number(value.toPrecision(3)).toLocaleString("en");

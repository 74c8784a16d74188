import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomBehavior, type ZoomTransform } from "d3-zoom";
import type { Places } from "./arrange.ts";
import type { DisplayGraph } from "./display-graph.ts";
import { drawScene, type Look } from "./draw-scene.ts";
import type { Hit } from "./hit-grid.ts";
import { buildScene, type Scene } from "./scene.ts";
import { Traffic } from "./traffic.ts";

export interface GraphCanvasOptions {
  /** The canvases are put into this element, and get its size. */
  readonly host: HTMLElement;
  readonly look: Look;
  readonly animated: boolean;
  readonly onHover: (hit: Hit | undefined) => void;
  readonly onChoose: (hit: Hit | undefined) => void;
  readonly onZoom: (zoom: number) => void;
}

interface Move {
  readonly graph: DisplayGraph;
  readonly from: Places;
  readonly to: Places;
  readonly sinceMs: number;
}

const zoomExtent: [number, number] = [0.05, 3];
const fitMargin = 24;
/** The buttons below the drawing need this space. */
const fitBottom = 60;
const fitAtMost = 1.15;
const moveMs = 380;
const edgeTolerance = 7;
/** With more cards than this, an animation would be too slow, so the cards jump to their new places. */
const maxMovingCards = 150;
const trafficFrameMs = 30;

function sameBounds(a: Scene["bounds"], b: Scene["bounds"]): boolean {
  return a.left === b.left && a.top === b.top && a.right === b.right && a.bottom === b.bottom;
}

/**
 * Draws a graph with moving traffic, which users can pan, zoom and click. Edges, dots and cards have canvases of their
 * own: moving dots do not redraw the cards, and these are drawn only after a change.
 */
export class GraphCanvas {
  readonly #options: GraphCanvasOptions;
  readonly #below = document.createElement("canvas");
  readonly #dots = document.createElement("canvas");
  readonly #above = document.createElement("canvas");
  readonly #zoom: ZoomBehavior<HTMLCanvasElement, unknown>;
  readonly #resizes: ResizeObserver;
  readonly #listeners = new AbortController();
  #size = { width: 1, height: 1, ratio: 1 };
  #sight: ZoomTransform = zoomIdentity;
  #scene: Scene = buildScene({ nodes: new Map(), edges: [], nodeCount: 0, edgeCount: 0, protocols: [] }, new Map());
  #traffic = new Traffic(this.#scene);
  #look: Look;
  #animated: boolean;
  #stale = true;
  #frame = 0;
  #lastTrafficMs = 0;
  #hovered: Hit | undefined;
  #move: Move | undefined;
  #fitted = false;

  constructor(options: GraphCanvasOptions) {
    this.#options = options;
    this.#look = options.look;
    this.#animated = options.animated;
    const { host } = options;
    for (const canvas of this.#layers) {
      canvas.className = "graph-layer";
      host.append(canvas);
    }
    this.#zoom = zoom<HTMLCanvasElement, unknown>()
      .scaleExtent(zoomExtent)
      .clickDistance(4)
      .on("zoom", ({ transform }: { transform: ZoomTransform }) => {
        const zoomed = transform.k !== this.#sight.k;
        this.#sight = transform;
        this.#fitted = false;
        if (zoomed) options.onZoom(transform.k);
        this.#redraw();
      });
    select(this.#above).call(this.#zoom).on("dblclick.zoom", null);
    const { signal } = this.#listeners;
    this.#above.addEventListener("pointermove", (event) => this.#point(event), { signal });
    this.#above.addEventListener("pointerleave", () => this.#hover(undefined), { signal });
    this.#above.addEventListener("click", (event) => options.onChoose(this.#hitAt(event)), { signal });
    this.#resizes = new ResizeObserver(() => this.#resize());
    this.#resizes.observe(host);
    this.#resize();
  }

  get #layers(): readonly HTMLCanvasElement[] {
    return [this.#below, this.#dots, this.#above];
  }

  get scene(): Scene {
    return this.#scene;
  }

  /** Shows a graph. Returns how many milliseconds building and drawing took. */
  show(graph: DisplayGraph, places: Places, moving: boolean): number {
    const beganMs = performance.now();
    const before = this.#scene;
    if (moving && this.#animated && before.nodes.size > 0) {
      const moved = [...graph.nodes.keys()].filter((key) => {
        const from = before.nodes.get(key);
        const to = places.get(key);
        return from !== undefined && to !== undefined && (from.x !== to.x || from.y !== to.y);
      });
      if (moved.length > 0 && moved.length <= maxMovingCards)
        this.#move = {
          graph,
          from: new Map([...before.nodes].map(([key, { x, y }]) => [key, { x, y }])),
          to: places,
          sinceMs: beganMs,
        };
    }
    if (this.#move === undefined) this.#setScene(buildScene(graph, places));
    else this.#move = { ...this.#move, graph, to: places };
    // Keep the whole graph in sight, unless the user has moved the view.
    if (
      (before.nodes.size === 0 && this.#scene.nodes.size > 0) ||
      (this.#fitted && !sameBounds(before.bounds, this.#scene.bounds))
    )
      this.fit();
    this.#draw();
    return performance.now() - beganMs;
  }

  setLook(look: Look): void {
    this.#look = look;
    this.#redraw();
  }

  setAnimated(animated: boolean): void {
    this.#animated = animated;
    if (!animated) this.#dots.getContext("2d")?.clearRect(0, 0, this.#dots.width, this.#dots.height);
    this.#schedule();
  }

  /** Brings the whole graph into sight. `covered` is the width at the right that something else covers. */
  fit(covered = 0): void {
    const { left, top, right, bottom } = this.#scene.bounds;
    const width = Math.max(80, this.#size.width - covered);
    const height = Math.max(80, this.#size.height - fitMargin - fitBottom);
    const k = Math.min(
      fitAtMost,
      Math.max(zoomExtent[0], Math.min((width - 2 * fitMargin) / (right - left), height / (bottom - top))),
    );
    this.#goTo(
      zoomIdentity.translate((width - (left + right) * k) / 2, fitMargin + (height - (top + bottom) * k) / 2).scale(k),
    );
    this.#fitted = true;
  }

  /** Brings a node or edge to the centre, large enough to be read. */
  centre(key: string, covered = 0): void {
    const node = this.#scene.nodes.get(key);
    const edge = node === undefined ? this.#scene.edges.find((candidate) => candidate.key === key) : undefined;
    const at =
      node ??
      (edge === undefined
        ? undefined
        : { x: (edge.curve.x0 + edge.curve.x3) / 2, y: (edge.curve.y0 + edge.curve.y3) / 2 });
    if (at === undefined) return;
    const k = Math.max(0.8, this.#sight.k);
    this.#goTo(
      zoomIdentity.translate((this.#size.width - covered) / 2 - at.x * k, this.#size.height / 2 - at.y * k).scale(k),
    );
  }

  /** Brings a node into sight. Moves nothing if it is in sight. */
  reveal(key: string, covered = 0): void {
    const node = this.#scene.nodes.get(key);
    if (node === undefined) return;
    const { k, x, y } = this.#sight;
    const left = (node.x - node.width / 2) * k + x;
    const top = (node.y - node.height / 2) * k + y;
    if (
      k < 0.3 ||
      left < 8 ||
      top < 8 ||
      left + node.width * k > this.#size.width - covered - 8 ||
      top + node.height * k > this.#size.height - 8
    )
      this.centre(key, covered);
  }

  zoomBy(factor: number): void {
    this.#zoom.scaleBy(select(this.#above), factor);
  }

  panBy(x: number, y: number): void {
    this.#zoom.translateBy(select(this.#above), x / this.#sight.k, y / this.#sight.k);
  }

  close(): void {
    cancelAnimationFrame(this.#frame);
    this.#listeners.abort();
    this.#resizes.disconnect();
    for (const canvas of this.#layers) canvas.remove();
  }

  #goTo(sight: ZoomTransform): void {
    this.#zoom.transform(select(this.#above), sight);
  }

  #setScene(scene: Scene): void {
    this.#scene = scene;
    this.#traffic = new Traffic(scene);
    this.#stale = true;
  }

  #resize(): void {
    const { host } = this.#options;
    const ratio = Math.min(2, devicePixelRatio || 1);
    const width = Math.max(1, host.clientWidth);
    const height = Math.max(1, host.clientHeight);
    if (width === this.#size.width && height === this.#size.height && ratio === this.#size.ratio) return;
    this.#size = { width, height, ratio };
    for (const canvas of this.#layers) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    if (this.#fitted) this.fit();
    this.#draw();
  }

  #point(event: PointerEvent): void {
    if (event.buttons !== 0) return;
    this.#hover(this.#hitAt(event));
  }

  #hover(hit: Hit | undefined): void {
    if (hit?.key === this.#hovered?.key) return;
    this.#hovered = hit;
    this.#above.style.cursor = hit === undefined ? "grab" : "pointer";
    this.#options.onHover(hit);
  }

  #hitAt({ offsetX, offsetY }: MouseEvent): Hit | undefined {
    const [x, y] = this.#sight.invert([offsetX, offsetY]);
    return this.#scene.hits().at({ x, y }, edgeTolerance / Math.min(1, this.#sight.k));
  }

  #redraw(): void {
    this.#stale = true;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#frame === 0) this.#frame = requestAnimationFrame((atMs) => this.#onFrame(atMs));
  }

  #onFrame(atMs: number): void {
    this.#frame = 0;
    if (this.#move !== undefined) this.#step(this.#move);
    const still = !this.#stale;
    if (this.#stale) this.#draw();
    if (this.#animated && (!still || atMs - this.#lastTrafficMs >= trafficFrameMs)) {
      this.#lastTrafficMs = atMs;
      this.#drawTraffic(atMs);
    }
    if (this.#move !== undefined || (this.#animated && this.#traffic.moves)) this.#schedule();
  }

  #step(move: Move): void {
    const part = Math.min(1, (performance.now() - move.sinceMs) / moveMs);
    const eased = 1 - (1 - part) ** 3;
    const places = new Map(
      [...move.to].map(([key, to]) => {
        const from = move.from.get(key);
        return [
          key,
          from === undefined ? to : { x: from.x + (to.x - from.x) * eased, y: from.y + (to.y - from.y) * eased },
        ] as const;
      }),
    );
    if (part >= 1) this.#move = undefined;
    this.#setScene(buildScene(move.graph, places));
  }

  #draw(): void {
    const below = this.#below.getContext("2d");
    const above = this.#above.getContext("2d");
    if (below === null || above === null) return;
    this.#stale = false;
    drawScene({ below, above }, this.#scene, this.#sight, this.#look, this.#size);
    this.#schedule();
  }

  #drawTraffic(atMs: number): void {
    const context = this.#dots.getContext("2d");
    if (context === null) return;
    this.#traffic.draw(context, atMs / 1000, this.#sight, this.#look, this.#size);
  }
}

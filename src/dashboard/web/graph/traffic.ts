import { edgeRate, isTcp } from "./display-graph.ts";
import { begin, edgeInSight, type CanvasSize, type Look, type Sight } from "./draw-scene.ts";
import { pointOnWay, wayAlong, type Scene } from "./scene.ts";

export interface Flow {
  readonly dots: number;
  /** The share of the way that a dot moves in a second. */
  readonly pace: number;
  readonly errorShare: number;
  /** Shifts the edge's dots, from 0 to 1, so that those of different edges are not in step. */
  readonly phase: number;
}

const maxDotsOfEdge = 8;
const maxDots = 900;

/**
 * The dots of an edge. More traffic means more and faster dots, on a logarithmic scale, so that both 1/s and 1,000/s
 * look right.
 */
export function flowOf(key: string, rate: number, length: number, errorShare: number): Flow {
  const size = Math.log2(1 + Math.max(0, rate));
  const dots = Math.max(
    1,
    Math.min(maxDotsOfEdge, Math.round(size * 0.75 * Math.min(1.5, Math.max(0.6, length / 260)))),
  );
  return { dots, pace: (34 + 22 * Math.min(9, size)) / Math.max(60, length), errorShare, phase: hash(key, 0) };
}

/** Reduces an edge's dots if all edges together want too many. Some edges with one dot then have none. */
export function thinned(flow: Flow, wanted: number): Flow {
  if (wanted <= maxDots) return flow;
  const dots = flow.dots * (maxDots / wanted);
  return { ...flow, dots: dots >= 1 ? Math.floor(dots) : flow.phase < dots ? 1 : 0 };
}

/** Where an edge's dots are at a time, and which of them are errors. */
export function dotsAt(
  { dots, pace, errorShare, phase }: Flow,
  key: string,
  seconds: number,
): readonly { readonly t: number; readonly error: boolean }[] {
  return Array.from({ length: dots }, (_, index) => {
    const travelled = seconds * pace + phase + index / dots;
    const round = Math.floor(travelled);
    return { t: travelled - round, error: errorShare > 0 && hash(key, round * maxDotsOfEdge + index + 1) < errorShare };
  });
}

function hash(text: string, salt: number): number {
  let value = 2_166_136_261 ^ salt;
  for (let index = 0; index < text.length; index += 1) value = Math.imul(value ^ text.charCodeAt(index), 16_777_619);
  value ^= value >>> 15;
  value = Math.imul(value, 2_246_822_519);
  value ^= value >>> 13;
  return (value >>> 0) / 4_294_967_296;
}

/** The dots of a scene. Made once for each scene, and drawn in each frame. */
export class Traffic {
  readonly #flows: {
    readonly key: string;
    readonly edge: Scene["edges"][number];
    readonly flow: Flow;
    readonly way: Float32Array;
  }[];

  constructor(scene: Scene) {
    this.#flows = scene.edges
      .filter(({ moving }) => moving)
      .map((edge) => {
        const { display, length, curve, key } = edge;
        const rate = isTcp(display.edge)
          ? Math.max(edgeRate(display.edge), display.edge.byteRate / 10_000)
          : display.edge.requestRate;
        return { key, edge, flow: flowOf(key, rate, length, display.edge.errorShare), way: wayAlong(curve) };
      });
  }

  get moves(): boolean {
    return this.#flows.length > 0;
  }

  draw(
    context: CanvasRenderingContext2D,
    seconds: number,
    sight: Sight,
    { colors, emphasized, emphasizedEdges }: Look,
    size: CanvasSize,
  ): void {
    const seen = begin(context, sight, size);
    const radius = 2.3 / Math.max(0.5, Math.min(1, sight.k));
    const errors: { readonly x: number; readonly y: number }[] = [];
    const shown = this.#flows.filter(
      ({ key, edge }) => (emphasized === undefined || emphasizedEdges.has(key)) && edgeInSight(edge, seen),
    );
    const wanted = shown.reduce((sum, { flow }) => sum + flow.dots, 0);
    context.fillStyle = colors.accent;
    context.beginPath();
    for (const { key, flow, way } of shown) {
      for (const { t, error } of dotsAt(thinned(flow, wanted), key, seconds)) {
        const at = pointOnWay(way, t);
        if (error) errors.push(at);
        else {
          context.moveTo(at.x + radius, at.y);
          context.arc(at.x, at.y, radius, 0, Math.PI * 2);
        }
      }
    }
    context.fill();
    if (errors.length === 0) return;
    // Errors are larger and diamonds, so that users recognise them without colours.
    const half = radius * 1.7;
    context.fillStyle = colors.health.failing;
    context.beginPath();
    for (const at of errors) {
      context.moveTo(at.x, at.y - half);
      context.lineTo(at.x + half, at.y);
      context.lineTo(at.x, at.y + half);
      context.lineTo(at.x - half, at.y);
      context.closePath();
    }
    context.fill();
  }
}

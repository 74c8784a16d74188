/** A point of the drawing. Its units are CSS pixels at a zoom of 1. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A card. The point is its centre. */
export interface Placed extends Point {
  readonly width: number;
  readonly height: number;
}

/** A cubic Bézier curve: its start, two handles and its end. */
export interface Curve {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
  readonly x3: number;
  readonly y3: number;
}

/** The space for an arrow's head. */
const headLength = 5;
const selfLoopHeight = 34;

/**
 * The curve from one card to another. It begins at the side that faces the target, and ends at the side that faces the
 * source. If one card is above the other, it begins and ends at the right, so that it crosses no cards in between. An
 * edge in the opposite direction is a little lower.
 */
export function edgeCurve(from: Placed, to: Placed): Curve {
  if (from === to || (from.x === to.x && from.y === to.y)) return selfLoop(from);
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const reach = (from.width + to.width) / 2;
  if (dx >= reach * 0.75) return sideways(from.x + from.width / 2, from.y, to.x - to.width / 2 - headLength, to.y);
  if (dx <= -reach * 0.75) {
    // An edge against the reading direction is lower, so that both directions are visible.
    return sideways(
      from.x - from.width / 2,
      from.y + from.height / 4,
      to.x + to.width / 2 + headLength,
      to.y + to.height / 4,
    );
  }
  const bow = 26 + Math.min(60, Math.abs(dy) * 0.12);
  const side = dy > 0 ? 1 : -1;
  const x0 = from.x + (side * from.width) / 2;
  const x3 = to.x + side * (to.width / 2 + headLength);
  const out = side > 0 ? Math.max(x0, x3) + bow : Math.min(x0, x3) - bow;
  return {
    x0,
    y0: from.y + from.height / 8,
    x1: out,
    y1: from.y + from.height / 8,
    x2: out,
    y2: to.y - to.height / 8,
    x3,
    y3: to.y - to.height / 8,
  };
}

function sideways(x0: number, y0: number, x3: number, y3: number): Curve {
  const handle = Math.sign(x3 - x0) * Math.max(24, Math.min(140, Math.abs(x3 - x0) * 0.45));
  return { x0, y0, x1: x0 + handle, y1: y0, x2: x3 - handle, y2: y3, x3, y3 };
}

function selfLoop({ x, y, width, height }: Placed): Curve {
  const top = y - height / 2;
  return {
    x0: x + width / 6,
    y0: top,
    x1: x + width / 3,
    y1: top - selfLoopHeight,
    x2: x - width / 3,
    y2: top - selfLoopHeight,
    x3: x - width / 6,
    y3: top - headLength,
  };
}

/** The point at `t`, from 0 to 1. */
export function pointOnCurve(curve: Curve, t: number): Point {
  const s = 1 - t;
  const a = s * s * s;
  const b = 3 * s * s * t;
  const c = 3 * s * t * t;
  const d = t * t * t;
  return {
    x: a * curve.x0 + b * curve.x1 + c * curve.x2 + d * curve.x3,
    y: a * curve.y0 + b * curve.y1 + c * curve.y2 + d * curve.y3,
  };
}

/** A point's distance from the curve, measured to `samples` straight lines along it. */
export function distanceToCurve(curve: Curve, { x, y }: Point, samples = 16): number {
  let nearest = Infinity;
  let before = pointOnCurve(curve, 0);
  for (let index = 1; index <= samples; index += 1) {
    const after = pointOnCurve(curve, index / samples);
    nearest = Math.min(nearest, distanceToSegment(before, after, x, y));
    before = after;
  }
  return nearest;
}

function distanceToSegment(a: Point, b: Point, x: number, y: number): number {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const length = dx * dx + dy * dy;
  const t = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - a.x) * dx + (y - a.y) * dy) / length));
  return Math.hypot(x - a.x - t * dx, y - a.y - t * dy);
}

export function curveLength(curve: Curve): number {
  const chord = Math.hypot(curve.x3 - curve.x0, curve.y3 - curve.y0);
  const way =
    Math.hypot(curve.x1 - curve.x0, curve.y1 - curve.y0) +
    Math.hypot(curve.x2 - curve.x1, curve.y2 - curve.y1) +
    Math.hypot(curve.x3 - curve.x2, curve.y3 - curve.y2);
  return (chord + way) / 2;
}

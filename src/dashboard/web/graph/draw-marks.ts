import type { GraphNode, Health } from "../../../api/dashboard/index.ts";
import type { Placed } from "./edge-curve.ts";
import type { GraphColors } from "./graph-colors.ts";

/** Adds a card's outline to the path. Returns whether it must be dashed, because the card is outside the mesh. */
export function drawCardShape(
  path: CanvasRenderingContext2D,
  kind: GraphNode["kind"],
  { x, y, width, height }: Placed,
): boolean {
  const left = x - width / 2;
  const top = y - height / 2;
  const right = left + width;
  const bottom = top + height;
  switch (kind) {
    case "workload":
      path.roundRect(left, top, width, height, 9);
      return false;
    case "app":
      path.roundRect(left, top, width, height, 3);
      return false;
    case "service":
      path.roundRect(left, top, width, height, height / 2);
      return false;
    case "gateway":
      polygon(path, [left, top, right - 14, top, right, y, right - 14, bottom, left, bottom]);
      return false;
    case "waypoint":
      polygon(path, [left + 11, top, right - 11, top, right, y, right - 11, bottom, left + 11, bottom, left, y]);
      return false;
    case "ztunnel":
      polygon(path, [
        left + 9,
        top,
        right - 9,
        top,
        right,
        top + 9,
        right,
        bottom - 9,
        right - 9,
        bottom,
        left + 9,
        bottom,
        left,
        bottom - 9,
        left,
        top + 9,
      ]);
      return false;
    case "external":
      path.roundRect(left, top, width, height, 9);
      return true;
    case "unknown":
      path.roundRect(left, top, width, height, height / 2);
      return true;
  }
}

function polygon(path: CanvasRenderingContext2D, points: readonly number[]): void {
  addLine(path, points);
  path.closePath();
}

interface Circle {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

interface MarkPen extends Circle {
  readonly context: CanvasRenderingContext2D;
  readonly colors: GraphColors;
  readonly lineWidth: number;
}

/** Each state of health has a shape of its own, so that users recognise it without colours. */
const healthShapes: Readonly<Record<Health, (pen: MarkPen) => void>> = {
  healthy: drawTickedDisc,
  degraded: drawWarningTriangle,
  failing: drawCrossedOctagon,
  idle: drawDashInRing,
  unknown: drawQuestionInSquare,
};

export function drawHealthMark(
  context: CanvasRenderingContext2D,
  health: Health,
  circle: Circle,
  colors: GraphColors,
): void {
  const lineWidth = circle.radius / 4;
  context.fillStyle = colors.health[health];
  context.strokeStyle = colors.health[health];
  context.lineWidth = lineWidth;
  context.lineCap = "round";
  context.beginPath();
  healthShapes[health]({ ...circle, context, colors, lineWidth });
  context.lineCap = "butt";
}

function drawTickedDisc({ context, x, y, radius, colors, lineWidth }: MarkPen): void {
  context.arc(x, y, radius, 0, Math.PI * 2);
  context.fill();
  sign(context, colors.surface, lineWidth * 1.1, [
    x - radius * 0.42,
    y + radius * 0.02,
    x - radius * 0.08,
    y + radius * 0.38,
    x + radius * 0.46,
    y - radius * 0.34,
  ]);
}

function drawWarningTriangle({ context, x, y, radius, colors, lineWidth }: MarkPen): void {
  polygon(context, [x, y - radius, x + radius * 1.08, y + radius * 0.86, x - radius * 1.08, y + radius * 0.86]);
  context.lineJoin = "round";
  context.fill();
  context.stroke();
  sign(context, colors.surface, lineWidth * 1.1, [x, y - radius * 0.3, x, y + radius * 0.2]);
  sign(context, colors.surface, lineWidth * 1.3, [x, y + radius * 0.57, x, y + radius * 0.58]);
}

function drawCrossedOctagon({ context, x, y, radius, colors, lineWidth }: MarkPen): void {
  const cut = radius * 0.42;
  const arm = radius * 0.38;
  polygon(context, [
    x - cut,
    y - radius,
    x + cut,
    y - radius,
    x + radius,
    y - cut,
    x + radius,
    y + cut,
    x + cut,
    y + radius,
    x - cut,
    y + radius,
    x - radius,
    y + cut,
    x - radius,
    y - cut,
  ]);
  context.fill();
  sign(context, colors.surface, lineWidth * 1.2, [x - arm, y - arm, x + arm, y + arm]);
  sign(context, colors.surface, lineWidth * 1.2, [x + arm, y - arm, x - arm, y + arm]);
}

function drawDashInRing({ context, x, y, radius, colors, lineWidth }: MarkPen): void {
  context.arc(x, y, radius - lineWidth / 2, 0, Math.PI * 2);
  context.stroke();
  sign(context, colors.health.idle, lineWidth, [x - radius * 0.35, y, x + radius * 0.35, y]);
}

function drawQuestionInSquare({ context, x, y, radius, colors }: MarkPen): void {
  context.rect(x - radius * 0.86, y - radius * 0.86, radius * 1.72, radius * 1.72);
  context.stroke();
  context.font = `700 ${radius * 1.4}px ${colors.font}`;
  context.textAlign = "center";
  context.fillText("?", x, y + radius * 0.52);
  context.textAlign = "left";
}

function sign(context: CanvasRenderingContext2D, color: string, width: number, points: readonly number[]): void {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.beginPath();
  addLine(context, points);
  context.stroke();
}

function addLine(path: CanvasRenderingContext2D, points: readonly number[]): void {
  for (let index = 0; index < points.length; index += 2) {
    const x = points[index] ?? 0;
    const y = points[index + 1] ?? 0;
    if (index === 0) path.moveTo(x, y);
    else path.lineTo(x, y);
  }
}

/** Draws a padlock: closed if all traffic uses mutual TLS, open if none does, and half filled otherwise. */
export function drawLock(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  state: "closed" | "half" | "open",
  colors: GraphColors,
): void {
  const color = state === "closed" ? colors.muted : colors.health.degraded;
  context.strokeStyle = color;
  context.fillStyle = color;
  context.lineWidth = 1.3;
  context.beginPath();
  if (state === "open") context.arc(x + 1.6, y - 1.4, 2.3, Math.PI, Math.PI * 1.9);
  else context.arc(x, y - 1, 2.3, Math.PI, 0);
  context.stroke();
  context.beginPath();
  context.roundRect(x - 3.6, y - 0.9, 7.2, 5.4, 1.2);
  if (state === "open") {
    context.stroke();
    return;
  }
  if (state === "closed") context.fill();
  else {
    context.stroke();
    context.fillRect(x - 3.6, y - 0.9, 3.6, 5.4);
  }
}

/** Draws the badge for a rollout that moves the card's traffic, at the card's upper right corner. */
export function drawRolloutBadge(
  context: CanvasRenderingContext2D,
  {
    right,
    top,
    text,
    scale,
  }: { readonly right: number; readonly top: number; readonly text: string; readonly scale: number },
  colors: GraphColors,
): void {
  context.save();
  context.translate(right, top);
  context.scale(scale, scale);
  context.font = `600 10px ${colors.font}`;
  const width = text === "" ? 17 : context.measureText(text).width + 20;
  context.beginPath();
  context.roundRect(-width, 0, width, 15, 7.5);
  context.fillStyle = colors.canary;
  context.fill();
  context.fillStyle = colors.onCanary;
  // Two opposite arrows stand for traffic that moves.
  context.beginPath();
  context.moveTo(5 - width, 5.5);
  context.lineTo(10 - width, 5.5);
  context.moveTo(12 - width, 9.5);
  context.lineTo(7 - width, 9.5);
  context.lineWidth = 1.4;
  context.strokeStyle = colors.onCanary;
  context.stroke();
  context.beginPath();
  context.moveTo(13 - width, 5.5);
  context.lineTo(9.5 - width, 3);
  context.lineTo(9.5 - width, 8);
  context.moveTo(4 - width, 9.5);
  context.lineTo(7.5 - width, 7);
  context.lineTo(7.5 - width, 12);
  context.fill();
  context.textAlign = "left";
  context.fillText(text, 15 - width, 11);
  context.restore();
}

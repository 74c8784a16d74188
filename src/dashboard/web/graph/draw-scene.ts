import type { Health } from "../../../api/dashboard/index.ts";
import { formatRate } from "../format.ts";
import { drawCardShape, drawHealthMark, drawLock, drawRolloutBadge } from "./draw-marks.ts";
import { edgeLabel, fullShare, type EdgeLabel } from "./edge-label.ts";
import { pointOnCurve } from "./edge-curve.ts";
import type { GraphColors } from "./graph-colors.ts";
import type { Scene, SceneEdge, SceneNode } from "./scene.ts";

export interface Sight {
  /** The zoom `k`, and where the drawing's origin is on the canvas, in CSS pixels. */
  readonly k: number;
  readonly x: number;
  readonly y: number;
}

export interface Look {
  readonly colors: GraphColors;
  readonly label: EdgeLabel;
  /** The keys of the selected node or edge, and of the one under the pointer. */
  readonly selected: string;
  readonly hovered: string;
  /** The keys of the emphasised nodes. If undefined, nothing is emphasised. */
  readonly emphasized: ReadonlySet<string> | undefined;
  /** Edges to emphasise besides those between emphasised nodes. */
  readonly emphasizedEdges: ReadonlySet<string>;
  readonly focused: string;
}

/**
 * From this zoom on, all text of cards is readable. From `readableTitles` on, the titles are, because they are
 * enlarged.
 */
const readableText = 0.6;
const readableTitles = 0.3;
const readableLabels = 0.62;
/** Titles are never smaller than this, in CSS pixels. */
const leastTitleSize = 9;
const leastTextSize = 8.5;
const leastBadgeSize = 8;
/** A title that does not fit is first shrunk, at most by this factor, and then shortened. */
const mostTightened = 0.86;
const arrowsFrom = 0.22;
const faint = 0.16;
const maxEdgeLabels = 400;

/** A canvas' size in CSS pixels, each of which is `ratio` device pixels wide. */
export interface CanvasSize {
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
}

/**
 * Two canvases: frames and edges are below, cards and labels above. Moving dots are drawn on a third one between them.
 */
export interface SceneLayers {
  readonly below: CanvasRenderingContext2D;
  readonly above: CanvasRenderingContext2D;
}

export function drawScene(
  { below, above }: SceneLayers,
  scene: Scene,
  sight: Sight,
  look: Look,
  size: CanvasSize,
): void {
  const seen = begin(below, sight, size);
  begin(above, sight, size);
  const edges = scene.edges.filter((edge) => edgeInSight(edge, seen));
  drawFrames(below, scene, sight.k, look, seen);
  drawEdges(below, edges, sight.k, look);
  const cards = [...scene.nodes.values()].filter((node) => nodeInSight(node, seen));
  const isFaint = ({ key }: SceneNode): boolean => look.emphasized !== undefined && !look.emphasized.has(key);
  drawFaintCards(above, cards.filter(isFaint), sight.k, look);
  if (sight.k >= readableLabels) drawEdgeLabels(above, scene, edges, sight.k, look);
  for (const card of cards) if (!isFaint(card)) drawCard(above, card, sight.k, look);
  drawBoxNames(above, scene, sight.k, look, seen);
}

/** Clears the canvas, and makes its units those of the drawing. Returns the part of the drawing in sight. */
export function begin(
  context: CanvasRenderingContext2D,
  { k, x, y }: Sight,
  { ratio, width, height }: CanvasSize,
): Seen {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width * ratio, height * ratio);
  context.setTransform(ratio * k, 0, 0, ratio * k, ratio * x, ratio * y);
  context.lineJoin = "round";
  return { left: -x / k, top: -y / k, right: (width - x) / k, bottom: (height - y) / k };
}

export interface Seen {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export function edgeInSight({ curve }: SceneEdge, seen: Seen): boolean {
  return (
    Math.min(curve.x0, curve.x1, curve.x2, curve.x3) < seen.right &&
    Math.max(curve.x0, curve.x1, curve.x2, curve.x3) > seen.left &&
    Math.min(curve.y0, curve.y1, curve.y2, curve.y3) < seen.bottom &&
    Math.max(curve.y0, curve.y1, curve.y2, curve.y3) > seen.top
  );
}

function nodeInSight({ x, y, width, height }: SceneNode, seen: Seen): boolean {
  return x - width < seen.right && x + width > seen.left && y - height < seen.bottom && y + height > seen.top;
}

function drawFrames(context: CanvasRenderingContext2D, scene: Scene, k: number, { colors }: Look, seen: Seen): void {
  context.lineWidth = 1 / Math.min(1, k);
  for (const { x, y, width, height } of scene.boxes) {
    if (x > seen.right || y > seen.bottom || x + width < seen.left || y + height < seen.top) continue;
    context.beginPath();
    context.roundRect(x, y, width, height, 14);
    context.fillStyle = colors.box;
    context.fill();
    context.strokeStyle = colors.line;
    context.stroke();
  }
  for (const { key, x, y, width, height } of scene.stacks) {
    if (x > seen.right || y > seen.bottom || x + width < seen.left || y + height < seen.top) continue;
    context.beginPath();
    context.roundRect(x, y, width, height, 11);
    context.fillStyle = colors.stack;
    context.fill();
    context.strokeStyle = colors.line;
    context.stroke();
    if (k < readableTitles) continue;
    context.font = `600 ${Math.min(17, Math.max(11.5, leastTitleSize / k))}px ${colors.font}`;
    context.fillStyle = colors.text;
    context.textBaseline = "alphabetic";
    context.fillText(fitText(context, key.slice(key.indexOf("/") + 1), width - 20), x + 11, y + 17);
  }
}

const boxNameInset = 14;

/**
 * Draws the names of namespaces, by which users navigate. At a small zoom, they keep their size. Edges do not cross
 * them.
 */
function drawBoxNames(context: CanvasRenderingContext2D, scene: Scene, k: number, { colors }: Look, seen: Seen): void {
  context.textBaseline = "alphabetic";
  context.textAlign = "left";
  context.strokeStyle = colors.box;
  for (const { key, x, y, width, height } of scene.boxes) {
    if (x > seen.right || y > seen.bottom || x + width < seen.left || y + height < seen.top) continue;
    const size = Math.min(Math.max(13, 11.5 / k), Math.max(13, width / Math.max(6, key.length * 0.62)));
    const base = size > 20 ? y + size * 1.05 : y + 23;
    context.font = `600 ${size}px ${colors.font}`;
    context.lineWidth = size / 3;
    const name = fitText(context, key, width - 2 * boxNameInset);
    context.strokeText(name, x + boxNameInset, base);
    context.fillStyle = colors.muted;
    context.fillText(name, x + boxNameInset, base);
  }
}

function drawEdges(context: CanvasRenderingContext2D, edges: readonly SceneEdge[], k: number, look: Look): void {
  const batches = new Map<string, SceneEdge[]>();
  for (const edge of edges) {
    const style = `${standsOut(edge, look) ? 1 : 0} ${edge.health} ${edge.width}`;
    const batch = batches.get(style);
    if (batch === undefined) batches.set(style, [edge]);
    else batch.push(edge);
  }
  // Draw unhealthy edges above healthy ones, and emphasised ones on top.
  const inOrder = [...batches].sort(([a], [b]) => rankOf(a) - rankOf(b));
  for (const [, batch] of inOrder) drawEdgeBatch(context, batch, k, look);
  context.globalAlpha = 1;
  const chosen = edges.find(({ key }) => key === look.selected || key === look.hovered);
  if (chosen !== undefined) drawChosenEdge(context, chosen, k, look);
}

function drawEdgeLabels(
  context: CanvasRenderingContext2D,
  scene: Scene,
  edges: readonly SceneEdge[],
  k: number,
  look: Look,
): void {
  const labelled = edges.filter((edge) => standsOut(edge, look));
  context.textBaseline = "middle";
  const taken: LabelPlace[] = [];
  const hits = scene.hits();
  const isFree = (place: LabelPlace): boolean =>
    !taken.some((other) => overlap(place, other)) &&
    hits.at({ x: place.left + 4, y: place.top + 8 }, 0)?.kind !== "node" &&
    hits.at({ x: place.left + place.width - 4, y: place.top + 8 }, 0)?.kind !== "node";
  for (const edge of labelled.length > maxEdgeLabels
    ? labelled.sort((a, b) => b.width - a.width).slice(0, maxEdgeLabels)
    : labelled) {
    const place = drawEdgeLabel(context, edge, k, look, isFree);
    if (place !== undefined) taken.push(place);
  }
}

interface LabelPlace {
  readonly left: number;
  readonly top: number;
  readonly width: number;
}

const labelHeight = 17;
/** Where a label may be along its edge, the best place first. */
const labelTimes = [0.5, 0.38, 0.62, 0.27, 0.73];

function overlap(a: LabelPlace, b: LabelPlace): boolean {
  return Math.abs(a.top - b.top) < labelHeight && a.left < b.left + b.width && b.left < a.left + a.width;
}

const healthRanks: Readonly<Record<Health, number>> = { idle: 0, unknown: 1, healthy: 2, degraded: 3, failing: 4 };

function rankOf(style: string): number {
  const [out, health] = style.split(" ");
  return Number(out) * 10 + healthRanks[(health ?? "idle") as Health];
}

function standsOut(edge: SceneEdge, { emphasized, emphasizedEdges }: Look): boolean {
  return emphasized === undefined || emphasizedEdges.has(edge.key);
}

function drawEdgeBatch(context: CanvasRenderingContext2D, batch: readonly SceneEdge[], k: number, look: Look): void {
  const [first] = batch;
  if (first === undefined) return;
  const out = standsOut(first, look);
  context.globalAlpha = out ? 1 : faint;
  context.strokeStyle = look.colors.edge[first.health];
  context.lineWidth = first.width / Math.max(0.6, Math.min(1, k * 1.6));
  context.setLineDash(first.health === "idle" ? [3, 5] : []);
  context.beginPath();
  for (const { curve } of batch) {
    context.moveTo(curve.x0, curve.y0);
    context.bezierCurveTo(curve.x1, curve.y1, curve.x2, curve.y2, curve.x3, curve.y3);
  }
  context.stroke();
  context.setLineDash([]);
  if (k < arrowsFrom || !out) return;
  context.fillStyle = look.colors.edge[first.health];
  context.beginPath();
  for (const edge of batch) arrowHead(context, edge);
  context.fill();
}

function arrowHead(context: CanvasRenderingContext2D, { curve, width }: SceneEdge): void {
  const dx = curve.x3 - curve.x2;
  const dy = curve.y3 - curve.y2;
  const length = Math.hypot(dx, dy) || 1;
  const ux = dx / length;
  const uy = dy / length;
  const half = 3.2 + width * 0.7;
  const tipX = curve.x3 + ux * 5;
  const tipY = curve.y3 + uy * 5;
  const backX = tipX - ux * half * 2.1;
  const backY = tipY - uy * half * 2.1;
  context.moveTo(tipX, tipY);
  context.lineTo(backX - uy * half, backY + ux * half);
  context.lineTo(backX + uy * half, backY - ux * half);
  context.closePath();
}

function drawChosenEdge(context: CanvasRenderingContext2D, edge: SceneEdge, k: number, look: Look): void {
  const { curve } = edge;
  context.strokeStyle = look.colors.accent;
  context.globalAlpha = 0.28;
  context.lineWidth = (edge.width + 7) / Math.min(1, k * 1.4);
  context.beginPath();
  context.moveTo(curve.x0, curve.y0);
  context.bezierCurveTo(curve.x1, curve.y1, curve.x2, curve.y2, curve.x3, curve.y3);
  context.stroke();
  context.globalAlpha = 1;
}

/** Draws a label, and returns its rectangle. Undefined if there is no text or no space. */
function drawEdgeLabel(
  context: CanvasRenderingContext2D,
  edge: SceneEdge,
  k: number,
  look: Look,
  isFree: (place: LabelPlace) => boolean,
): LabelPlace | undefined {
  const { colors } = look;
  const text = edgeLabel(edge.display.edge, look.label);
  const marked = edge.health === "degraded" || edge.health === "failing";
  const { mutualTlsShare } = edge.display.edge;
  context.font = `${textSize(k)}px ${colors.font}`;
  const textWidth = text === "" ? 0 : context.measureText(text).width;
  const lockWidth = edge.moving && mutualTlsShare !== undefined ? 13 : 0;
  const markWidth = marked ? 15 : 0;
  const width = textWidth + lockWidth + markWidth + (textWidth > 0 ? 10 : 6);
  if (textWidth + lockWidth + markWidth === 0 || edge.length < width + 14) return undefined;
  const candidates = labelTimes.map((time) => pointOnCurve(edge.curve, time));
  const placeOf = ({ x, y }: { readonly x: number; readonly y: number }): LabelPlace => ({
    left: x - width / 2,
    top: y - labelHeight / 2,
    width,
  });
  const { x, y } = candidates.find((point) => isFree(placeOf(point))) ?? pointOnCurve(edge.curve, 0.5);
  context.beginPath();
  context.roundRect(x - width / 2, y - labelHeight / 2, width, labelHeight, labelHeight / 2);
  context.fillStyle = colors.box;
  context.fill();
  context.lineWidth = 0.75;
  context.strokeStyle = colors.line;
  context.stroke();
  let left = x - width / 2 + (textWidth > 0 ? 5 : 3);
  if (marked) {
    drawHealthMark(context, edge.health, { x: left + 6, y, radius: 5.5 }, colors);
    left += markWidth;
  }
  if (lockWidth > 0 && mutualTlsShare !== undefined) {
    drawLock(
      context,
      left + 5,
      y,
      mutualTlsShare >= fullShare ? "closed" : mutualTlsShare === 0 ? "open" : "half",
      colors,
    );
    left += lockWidth;
  }
  if (text !== "") {
    context.textAlign = "left";
    context.fillStyle = marked ? colors.health[edge.health] : colors.text;
    context.fillText(text, left, y + 0.5);
  }
  return placeOf({ x, y });
}

/** Draws cards that are not emphasised. They are faint, but still hide the edges behind them. */
function drawFaintCards(context: CanvasRenderingContext2D, nodes: readonly SceneNode[], k: number, look: Look): void {
  for (const node of nodes) {
    context.beginPath();
    drawCardShape(context, node.display.node.kind, node);
    context.fillStyle = look.colors.box;
    context.fill();
    context.globalAlpha = 0.3;
    drawCard(context, node, k, look);
    context.globalAlpha = 1;
  }
}

function drawCard(context: CanvasRenderingContext2D, node: SceneNode, k: number, look: Look): void {
  context.textBaseline = "alphabetic";
  const { colors } = look;
  const { health } = node.display.node;
  const unwell = health === "degraded" || health === "failing";
  const selected = node.key === look.selected;
  if (selected || node.key === look.focused) {
    context.beginPath();
    context.roundRect(node.x - node.width / 2 - 5, node.y - node.height / 2 - 5, node.width + 10, node.height + 10, 13);
    context.fillStyle = colors.accentGround;
    context.fill();
    context.lineWidth = 2 / Math.min(1, k);
    context.strokeStyle = colors.accent;
    context.stroke();
  }
  context.beginPath();
  const dashed = drawCardShape(context, node.display.node.kind, node);
  context.fillStyle = k < readableText && health !== "healthy" ? colors.healthGround[health] : colors.surface;
  context.fill();
  if (dashed) context.setLineDash([4, 3]);
  context.lineWidth = (unwell ? 1.75 : node.key === look.hovered ? 1.5 : 1) / Math.max(0.35, Math.min(1, k));
  context.strokeStyle = unwell ? colors.health[health] : node.key === look.hovered ? colors.accent : colors.lineStrong;
  context.stroke();
  if (dashed) context.setLineDash([]);
  const left = node.x - node.width / 2;
  if (k < readableTitles) {
    if (k >= 0.12) drawHealthMark(context, health, { x: node.x, y: node.y, radius: 12 }, colors);
    return;
  }
  if (k < readableText) {
    drawHealthMark(context, health, { x: left + 19, y: node.y, radius: 9.5 }, colors);
    const room = node.width - 42;
    let size = Math.min(22, leastTitleSize / k);
    context.font = `600 ${size}px ${colors.font}`;
    const { width } = context.measureText(node.display.title);
    if (width > room) {
      size *= Math.max(mostTightened, room / width);
      context.font = `600 ${size}px ${colors.font}`;
    }
    context.fillStyle = colors.text;
    context.textAlign = "left";
    context.fillText(fitText(context, node.display.title, room), left + 35, node.y + size * 0.36);
    if (node.display.node.rollout !== "") drawBadge(context, node, k, colors);
    return;
  }
  drawHealthMark(context, health, { x: left + 21, y: node.y, radius: 7.5 }, colors);
  const rate = node.display.node.requestRate > 0 ? formatRate(node.display.node.requestRate) : "";
  context.font = `600 ${inHalves(Math.min(14, Math.max(12.5, leastTitleSize / k)))}px ${colors.font}`;
  context.fillStyle = colors.text;
  context.textAlign = "left";
  context.fillText(fitText(context, node.display.title, node.width - 46), left + 36, node.y - 2.5);
  context.font = `${textSize(k)}px ${colors.font}`;
  context.fillStyle = colors.muted;
  const rateWidth = rate === "" ? 0 : context.measureText(rate).width + 8;
  context.fillText(fitText(context, node.display.subtitle, node.width - 48 - rateWidth), left + 36, node.y + 13);
  if (rate !== "") {
    context.textAlign = "right";
    context.fillText(rate, left + node.width - 12, node.y + 13);
    context.textAlign = "left";
  }
  if (node.display.node.rollout !== "") drawBadge(context, node, k, colors);
}

/** The size of small text: second lines of cards, and labels of edges. */
function textSize(k: number): number {
  return inHalves(Math.min(13.5, Math.max(11, leastTextSize / k)));
}

/** Draws a badge. Leaves out its word if there is no space. */
function drawBadge(
  context: CanvasRenderingContext2D,
  { x, y, width, height, display }: SceneNode,
  k: number,
  colors: GraphColors,
): void {
  const text = k < readableText ? "" : display.node.rollout.startsWith("MeshUpgrade") ? "upgrade" : "rollout";
  drawRolloutBadge(
    context,
    {
      right: x + width / 2 - 8,
      top: y - height / 2 - 8,
      text,
      scale: Math.min(2, Math.max(1, leastBadgeSize / (10 * k))),
    },
    colors,
  );
}

/** Rounds a size to halves, so that widths are measured for few fonts only. */
function inHalves(size: number): number {
  return Math.round(size * 2) / 2;
}

const fitted = new Map<string, string>();
const maxFitted = 5000;

/** Shortens a text in its middle, because names of workloads differ at either end. */
function fitText(context: CanvasRenderingContext2D, text: string, width: number): string {
  const key = `${context.font}|${Math.round(width)}|${text}`;
  const known = fitted.get(key);
  if (known !== undefined) return known;
  if (fitted.size >= maxFitted) fitted.clear();
  let result = text;
  for (let length = text.length - 1; length > 3 && context.measureText(result).width > width; length -= 1) {
    const tail = Math.floor(length * 0.35);
    result = `${text.slice(0, length - tail)}…${text.slice(text.length - tail)}`;
  }
  fitted.set(key, result);
  return result;
}

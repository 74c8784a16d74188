import type { WalkDirection } from "./walk.ts";

export const zoomStep = 1.4;
const panStepPx = 80;

export type StageAct =
  | { readonly does: "walk"; readonly direction: WalkDirection }
  | { readonly does: "pan"; readonly x: number; readonly y: number }
  | { readonly does: "zoom"; readonly factor: number }
  | { readonly does: "fit" | "open" | "leave" };

const directions: Readonly<Record<string, WalkDirection>> = {
  ArrowRight: "right",
  ArrowLeft: "left",
  ArrowUp: "up",
  ArrowDown: "down",
};
/** The view moves in the direction of the key, so the drawing moves the other way. */
const pans: Readonly<Record<WalkDirection, StageAct>> = {
  right: { does: "pan", x: -panStepPx, y: 0 },
  left: { does: "pan", x: panStepPx, y: 0 },
  up: { does: "pan", x: 0, y: panStepPx },
  down: { does: "pan", x: 0, y: -panStepPx },
};
const acts: Readonly<Record<string, StageAct>> = {
  "+": { does: "zoom", factor: zoomStep },
  "=": { does: "zoom", factor: zoomStep },
  "-": { does: "zoom", factor: 1 / zoomStep },
  "0": { does: "fit" },
  Enter: { does: "open" },
  Escape: { does: "leave" },
};

/** Arrow keys walk from node to node. With Shift, they move the view. Undefined for a key that does nothing. */
export function stageAct({ key, shiftKey }: Pick<KeyboardEvent, "key" | "shiftKey">): StageAct | undefined {
  const direction = directions[key];
  if (direction === undefined) return acts[key];
  return shiftKey ? pans[direction] : { does: "walk", direction };
}

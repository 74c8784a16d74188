import type { undoSurroundings } from "../undo-surroundings.ts";

export const pass = { entries: [], passOver: false };

export const clockOf = (steady: { ms: number }) =>
  ({ nowMs: () => 0, steadyMs: () => steady.ms }) as unknown as Parameters<typeof undoSurroundings>[0]["clock"];

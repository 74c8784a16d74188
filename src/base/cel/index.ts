export type { CelLibrary } from "./call-cost.ts";
export { hasLoop } from "./meter-loops.ts";
export { costExceeded, MeteredCel, perCallLimit, type MeteredProgram } from "./metered-cel.ts";

// Evaluates CEL with a cost limit.
export type { CelLibrary } from "./call-cost.ts";
export { hasLoop } from "./meter-loops.ts";
export {
  cachedCompile,
  costExceeded,
  MeteredCel,
  outOfBudget,
  perCallLimit,
  untypedCel,
  withFunctions,
  type MeteredProgram,
} from "./metered-cel.ts";

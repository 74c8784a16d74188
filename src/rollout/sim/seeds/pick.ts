import type { Random } from "../../../base/index.ts";

/** A whole number below the count. */
export function pick(random: Random, count: number): number {
  return Math.floor(random() * count);
}

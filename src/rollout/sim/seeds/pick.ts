import type { Random } from "../../../base/index.ts";

/** A random whole number from 0 up to but not including the count. */
export function pick(random: Random, count: number): number {
  return Math.floor(random() * count);
}

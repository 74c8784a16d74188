import type { Random } from "../../../base/index.ts";

/** A random whole number from 0 to `count` - 1. */
export function pick(random: Random, count: number): number {
  return Math.floor(random() * count);
}

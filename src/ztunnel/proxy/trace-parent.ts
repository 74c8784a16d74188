import { randomFillSync } from "node:crypto";

const pool = Buffer.allocUnsafeSlow(24 * 64);
let used = pool.length;

/** A new W3C `traceparent` with random trace and parent ids, not sampled. */
export function newTraceParent(): string {
  if (used + 24 > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const trace = pool.toString("hex", used, used + 16);
  const parent = pool.toString("hex", used + 16, used + 24);
  used += 24;
  return `00-${trace}-${parent}-00`;
}

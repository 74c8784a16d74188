import { randomBytes } from "node:crypto";

const traceDigits = 32;
const parentDigits = 16;
const idsDigits = traceDigits + parentDigits;
/**
 * The number of ids for which one call makes random digits. A call that makes or formats the digits costs more than the
 * digits themselves.
 */
const batch = 64;

let digits = "";
let used = 0;

/** A new W3C `traceparent` with random trace and parent ids, not sampled. */
export function newTraceParent(): string {
  if (used === digits.length) {
    digits = randomBytes((batch * idsDigits) / 2).toString("hex");
    used = 0;
  }
  const parent = used + traceDigits;
  const ids = `00-${digits.slice(used, parent)}-${digits.slice(parent, parent + parentDigits)}-00`;
  used += idsDigits;
  return ids;
}

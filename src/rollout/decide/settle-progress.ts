import { firstNames } from "../../base/index.ts";
import type { StepStatus } from "../../api/serin/index.ts";
import { at } from "./input.ts";
import type { Observation } from "./observation.ts";

/**
 * A step that has not settled after this many times its limit fails, however much progress it makes, unless it is
 * patient.
 */
const settleLimits = 10;
const untilSlackMs = 10_000;
/**
 * The number that represents all later work while a write is not due yet. It is larger than any number of missing items
 * that conditions report.
 */
const laterLeft = 1e12;
/**
 * The number of missing items of a step that has written nothing. It is larger than the number of all writes that are
 * not due yet.
 */
const unwrittenLeft = 1e15;

/**
 * The status of a step that waits, with what it waits for. The limit counts from the last time that the number of
 * missing items reached a new minimum, so that a slow machine causes no failure.
 */
export function waitingOn(
  before: StepStatus,
  { writes, settle: states }: Observation,
  {
    elapsedMs,
    nowMs,
    limitMs,
  }: { readonly elapsedMs: number; readonly nowMs: number; readonly limitMs?: number | undefined },
): StepStatus {
  const left =
    states.reduce((sum, state) => sum + (state.state === "waiting" ? (state.left ?? 1) : 0), 0) +
    laterLeft * writes.filter(({ state }) => state === "later").length;
  const { settlingMs = 0, settlingLeft, waitingSince } = before;
  const stalledMs = withoutProgressMs(before);
  const isNearer = settlingLeft !== undefined && left < settlingLeft;
  const { waitsUntil: told, ...step } = before;
  const ownMs = states.flatMap((state) =>
    state.state === "waiting" && state.failsInMs !== undefined ? [state.failsInMs] : [],
  );
  const leftMs = [...(limitMs === undefined ? [] : [limitMs - (isNearer ? 0 : stalledMs)]), ...ownMs];
  const untilMs = nowMs + Math.min(...leftMs);
  return {
    ...step,
    settlingMs: settlingMs + elapsedMs,
    stalledMs: isNearer ? 0 : stalledMs + elapsedMs,
    settlingLeft: Math.min(left, settlingLeft ?? left),
    waitingSince: isNearer ? at(nowMs) : (waitingSince ?? at(nowMs)),
    ...(leftMs.length === 0 ? {} : { waitsUntil: isNearer ? at(untilMs) : toldUntil(told, untilMs) }),
  };
}

/**
 * While the server refuses a step's first writes, nothing can settle. So the step gets its whole limit again when they
 * succeed. It gets the limit only once: otherwise alternating faults could keep the step from ever ending.
 */
export function beforeWrites(step: StepStatus): StepStatus {
  return { ...step, settlingLeft: step.settlingLeft ?? unwrittenLeft };
}

/**
 * The step when it has to settle again, because somebody has changed its plan or a value that it wrote. The new wait
 * has the whole limit, however long the first wait took. `settlingMs` stays, so that a fight over a value still reaches
 * a limit.
 */
export function settlingAnew(step: StepStatus): StepStatus {
  return { ...step, stalledMs: 0, settlingLeft: unwrittenLeft };
}

/**
 * The time since the step has last settled. Undefined if it has not. `settledForMs` alone also includes the looks
 * before somebody changed the step's routes, but not the time of that change. If the clock has jumped back, only
 * `settledForMs` counts.
 */
export function sinceSettledMs({ settledAt, settledForMs = 0 }: StepStatus, nowMs: number): number | undefined {
  if (settledAt === undefined) return undefined;
  const passedMs = nowMs - Date.parse(settledAt);
  return passedMs >= 0 ? Math.min(settledForMs, passedMs) : settledForMs;
}

/**
 * The end of the wait as the status stated it before, unless a pause, a stopped engine or a clock jump has changed it.
 * A difference by rounding alone changes nothing.
 */
export function toldUntil(told: string | undefined, untilMs: number): string {
  return told !== undefined && Math.abs(Date.parse(told) - untilMs) < untilSlackMs ? told : at(untilMs);
}

/**
 * How long the step has made no progress. An earlier release wrote statuses without `stalledMs`, for which the whole
 * settling time is used.
 */
export function withoutProgressMs({ settlingMs = 0, stalledMs = settlingMs }: StepStatus): number {
  return stalledMs;
}

/**
 * Whether the step has waited for too long. A patient step has no limit on its whole duration, only one on the time
 * without progress.
 */
export function isOverdue(step: StepStatus, limitMs: number, isPatient = false): boolean {
  const { settlingMs = 0 } = step;
  return withoutProgressMs(step) > limitMs || (!isPatient && settlingMs > settleLimits * limitMs);
}

/** Text such as `300 s`, or `812 s, the last 300 s of them without progress`. */
export function overdueText(step: StepStatus, limitMs: number): string {
  const { settlingMs = 0 } = step;
  const stalledMs = withoutProgressMs(step);
  const seconds = Math.round(settlingMs / 1000);
  if (stalledMs <= limitMs) return `${seconds} s, although it made progress`;
  return stalledMs === settlingMs
    ? `${limitMs / 1000} s`
    : `${seconds} s, the last ${limitMs / 1000} s of them without progress`;
}

const linesShown = 20;
/** The maximum number of compared lines, because the cost is the square of their number. */
const maxCompared = 200;
const namesShown = 5;
/**
 * Two lines say the same about two names if they share at least this many words, and the names between these words are
 * short.
 */
const minSharedWords = 3;
const maxNameWords = 3;
const minAlike = 3;
/**
 * A number, with its unit or punctuation, such as `3`, `1/3:` or `20 s`. An IP address does not match, because it can
 * be a name.
 */
const bareNumber = /^\(?\d+([./]\d+)?(%|ms|s)?[:;,)]?$/;

/**
 * Lines that say the same of several names. The lines begin and end with the same words, and the names are between
 * these.
 */
interface Alike {
  readonly members: (readonly string[])[];
  before: number;
  after: number;
}

/**
 * The lines that a status shows for everything that a step or an undo waits for. One cause often holds up many objects,
 * such as an image that no probe gets: the line about them appears once, with the names of the first few objects.
 */
export function namedOnce(details: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const detail of details.slice(0, maxCompared)) counts.set(detail, (counts.get(detail) ?? 0) + 1);
  const groups: Alike[] = [];
  for (const text of counts.keys()) {
    const words = text.split(" ");
    if (!groups.some((group) => joins(group, words)))
      groups.push({ members: [words], before: words.length, after: words.length });
  }
  const lines = groups.flatMap((group) => linesOf(group, counts));
  const shown = lines.slice(0, linesShown);
  const left = lines.length - shown.length + Math.max(0, details.length - maxCompared);
  return left === 0 ? shown : [...shown, `and ${left} more`];
}

/**
 * Adds the line to the group if it says the same as all lines in the group. A line with other numbers says something
 * else.
 */
function joins(group: Alike, words: readonly string[]): boolean {
  const [first = []] = group.members;
  const before = Math.min(group.before, sharedWords(first, words));
  const atEnd = sharedWords(first.toReversed(), words.toReversed());
  const after = Math.min(group.after, atEnd, first.length - before, words.length - before);
  const isName = (line: readonly string[]): boolean => {
    const name = line.slice(before, line.length - after);
    return name.length > 0 && name.length <= maxNameWords && !name.some((word) => bareNumber.test(word));
  };
  if (before + after < minSharedWords || ![...group.members, words].every(isName)) return false;
  group.members.push(words);
  Object.assign(group, { before, after });
  return true;
}

function sharedWords(left: readonly string[], right: readonly string[]): number {
  const most = Math.min(left.length, right.length);
  let count = 0;
  while (count < most && left[count] === right[count]) count += 1;
  return count;
}

function linesOf({ members, before, after }: Alike, counts: ReadonlyMap<string, number>): readonly string[] {
  const texts = members.map((words) => words.join(" "));
  const [first = "", ...others] = texts;
  const counted = texts.map((text) => {
    const count = counts.get(text) ?? 1;
    return count === 1 ? text : `${text} (${count} times)`;
  });
  if (members.length < minAlike) return counted;
  const names = members.slice(1).map((words) =>
    words
      .slice(before, words.length - after)
      .join(" ")
      .replace(/[:;,]$/, ""),
  );
  return [
    `${first}; the same for ${others.length} ${others.length === 1 ? "other" : "others"}: ${firstNames(names, namesShown)}`,
  ];
}

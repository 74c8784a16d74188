import type { StepStatus } from "../../api/serin/index.ts";
import { at } from "./input.ts";
import type { Observation } from "./observation.ts";

/** A step that has not settled after this many times its limit has failed, however much progress there is. */
const settleLimits = 10;
const untilSlackMs = 10_000;
/**
 * The number of missing items that stands for all later work while a write is not due yet. It is larger than any number
 * that conditions report.
 */
const laterLeft = 1e12;

/**
 * The progress of waiting. The limit counts from the last time that fewer items were missing than ever before, so that
 * a slow machine causes no failure.
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

/** The reported time, unless a pause, a stopped engine or a clock jump has changed it. Rounding does not change it. */
export function toldUntil(told: string | undefined, untilMs: number): string {
  return told !== undefined && Math.abs(Date.parse(told) - untilMs) < untilSlackMs ? told : at(untilMs);
}

/** A status that an earlier release wrote has no `stalledMs`. Its whole settling time counts instead. */
export function withoutProgressMs({ settlingMs = 0, stalledMs = settlingMs }: StepStatus): number {
  return stalledMs;
}

/** A patient step has no limit for its whole duration, only for an obstacle. */
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

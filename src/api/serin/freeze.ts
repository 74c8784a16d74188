import { isTimeZone, localOf } from "../../base/zoned-time/index.ts";
import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { neverRecurs } from "./recurrence-days.ts";
import { readRecurrenceRule } from "./recurrence-rule.ts";
import { rolloutGroup, rolloutVersion } from "./rollout-status.ts";
import { instantFrom, isWindowTime } from "./window-time.ts";

/**
 * rollout.serin.dev/v1alpha1 Freeze (cluster-scoped): times in which no rollout starts a step. Rollbacks are never
 * delayed.
 */
export interface Freeze extends KubernetesObject {
  spec: FreezeSpec;
}

export interface FreezeSpec {
  /** Why the freeze exists. People who must wait see it. */
  readonly reason: string;
  /** An IANA name such as Europe/Berlin. The default is UTC. */
  readonly timeZone: string;
  readonly windows: readonly FreezeWindow[];
  /** The kinds of rollouts to which it applies. Absent means all kinds. */
  readonly kinds: readonly ("Canary" | "MeshUpgrade")[];
  /** The namespaces of the Canaries to which it applies. Empty means all. */
  readonly namespaces: readonly string[];
  /** Rollouts that may continue, each with a reason. */
  readonly exceptions: readonly FreezeException[];
}

/** A time from `start` to `end`, or a rule of RFC 5545 whose occurrences last `durationSeconds` each. */
export interface FreezeWindow {
  /** A local time in `timeZone`, such as `2026-12-20T18:00:00`, or a time with an offset. */
  readonly start: string;
  readonly end?: string;
  readonly rrule?: string;
  readonly durationSeconds?: number;
}

export interface FreezeException {
  readonly kind: "Canary" | "MeshUpgrade";
  readonly namespace?: string;
  readonly name: string;
  /** The uid of the object that is exempt. Absent means every object of this name, even one that is created later. */
  readonly uid?: string;
  readonly reason: string;
  readonly by: string;
}

export const freezeKind = defineKind<Freeze>({
  group: rolloutGroup,
  versions: [rolloutVersion],
  kind: "Freeze",
  plural: "freezes",
  namespaced: false,
  parse: parseFreeze,
});

const kinds = ["Canary", "MeshUpgrade"] as const;
const maxWindows = 64;
const maxExceptions = 256;
const maxDurationSeconds = 31_622_400;

/** Parses a Freeze, and fills in the defaults of its spec. A window that never opens is an error. */
export function parseFreeze(raw: unknown): Parsed<Freeze> {
  const reader = new Reader(raw);
  reader.ignore("apiVersion", "kind", "status");
  const metadata = reader.object("metadata")?.raw as Freeze["metadata"] | undefined;
  const spec = reader.required("spec", reader.object("spec"));
  const parsed = spec === undefined ? undefined : parseSpec(spec);
  reader.unknownFields();
  return reader.finish(() => ({
    apiVersion: `${rolloutGroup}/${rolloutVersion}`,
    kind: "Freeze",
    metadata: metadata ?? {},
    spec: parsed as FreezeSpec,
  }));
}

/** A stored freeze as its parser returns it, or why the parser refuses it. */
export type FreezeRead = { readonly freeze: Freeze } | { readonly name: string; readonly fault: string };

/** Reads a freeze as the cluster has it, where fields may be absent or wrong. */
export function readFreeze(stored: Freeze): FreezeRead {
  const { value, errors } = parseFreeze(stored);
  const [fault] = errors;
  return value === undefined || fault !== undefined
    ? { name: stored.metadata.name ?? "", fault: `${fault?.path ?? ""}: ${fault?.message ?? ""}` }
    : { freeze: value };
}

export function unreadableFreeze(name: string, fault: string): string {
  return `in force because it cannot be read: ${fault}; correct it, or end it: serin freeze remove ${name}`;
}

function parseSpec(spec: Reader): FreezeSpec {
  const windows = spec.objects("windows");
  if (windows.length === 0)
    spec.error(
      "must have at least one window, such as {start: 2026-12-20T18:00:00, end: 2027-01-04T08:00:00}",
      "windows",
    );
  if (windows.length > maxWindows)
    spec.error(`must have at most ${maxWindows} windows, got ${windows.length}`, "windows");
  const exceptions = spec.objects("exceptions");
  if (exceptions.length > maxExceptions)
    spec.error(`must have at most ${maxExceptions} entries, got ${exceptions.length}`, "exceptions");
  const timeZone = spec.string("timeZone") ?? "UTC";
  // Looking up an unknown time zone is slow, so the result is reused for every window.
  const isKnownZone = isTimeZone(timeZone);
  if (!isKnownZone) spec.error(`must be an IANA time zone such as Europe/Berlin, got "${timeZone}"`, "timeZone");
  const result: FreezeSpec = {
    reason: spec.required("reason", spec.string("reason")) ?? "",
    timeZone,
    windows: windows.map((window) => parseWindow(window, isKnownZone ? timeZone : "UTC")),
    kinds: kindsOf(spec),
    namespaces: spec.strings("namespaces"),
    exceptions: exceptions.map(parseException),
  };
  spec.unknownFields();
  warnOfFields(spec, result);
  return result;
}

/** Warns of fields that have no effect beside the others. A MeshUpgrade belongs to no namespace. */
function warnOfFields(spec: Reader, freeze: FreezeSpec): void {
  if (freeze.namespaces.length > 0 && !freeze.kinds.includes("Canary"))
    spec.warnNoEffect("has no effect without kind Canary, because a MeshUpgrade has no namespace", "namespaces");
  freeze.exceptions.forEach(({ kind, namespace }, index) => {
    const place = `exceptions[${index}]`;
    if (!freeze.kinds.includes(kind)) spec.warnNoEffect(`has no effect: the freeze is not for a ${kind}`, place);
    else if (kind === "MeshUpgrade" && namespace !== undefined)
      spec.warnNoEffect("has no effect: a MeshUpgrade has no namespace; remove namespace", place);
  });
}

function kindsOf(spec: Reader): FreezeSpec["kinds"] {
  const listed = spec.strings("kinds").flatMap((word, index) => {
    const found = kinds.find((kind) => kind === word);
    if (found === undefined) spec.error(`must be one of ${kinds.join(", ")}, got "${word}"`, `kinds[${index}]`);
    return found === undefined ? [] : [found];
  });
  return listed.length === 0 ? kinds : listed;
}

function parseWindow(window: Reader, timeZone: string): FreezeWindow {
  const start = window.required("start", time(window, "start"));
  const end = time(window, "end");
  const rrule = rule(window, start, timeZone);
  const durationSeconds = window.integer("durationSeconds", 60, maxDurationSeconds);
  window.unknownFields();
  const [hasRule, hasEnd, hasDuration] = [window.has("rrule"), window.has("end"), window.has("durationSeconds")];
  if (!hasRule && !hasEnd) window.error("is required without an rrule", "end");
  if (hasRule && !hasDuration) window.error("is required with an rrule", "durationSeconds");
  if (hasRule && hasEnd)
    window.error(
      "cannot be combined with an rrule: an occurrence lasts durationSeconds, and UNTIL or COUNT end the rule",
      "end",
    );
  if (!hasRule && hasDuration)
    window.error("is only for windows with an rrule; this window ends at its end", "durationSeconds");
  if (end !== undefined && start !== undefined && instantFrom(end, timeZone) <= instantFrom(start, timeZone))
    window.error(`must be after start (${start}), got "${end}"`, "end");
  return {
    start: start ?? "",
    ...(end === undefined ? {} : { end }),
    ...(rrule === undefined ? {} : { rrule }),
    ...(durationSeconds === undefined ? {} : { durationSeconds }),
  };
}

function rule(window: Reader, start: string | undefined, timeZone: string): string | undefined {
  const text = window.string("rrule");
  const read = text === undefined ? undefined : readRecurrenceRule(text);
  if (read === undefined) return undefined;
  const problem =
    "problem" in read
      ? read.problem
      : start === undefined
        ? undefined
        : neverRecurs(read, localOf(timeZone, instantFrom(start, timeZone)));
  if (problem === undefined) return text;
  window.error(problem, "rrule");
  return undefined;
}

function time(window: Reader, field: string): string | undefined {
  const value = window.string(field);
  if (value === undefined || isWindowTime(value)) return value;
  window.error(
    `must be a time such as 2026-12-20T18:00:00 (in the freeze's time zone, from 1970 on), got "${value}"`,
    field,
  );
  return undefined;
}

function parseException(exception: Reader): FreezeException {
  const namespace = exception.string("namespace");
  const uid = exception.string("uid");
  const result = {
    kind: exception.required("kind", exception.oneOf("kind", kinds)) ?? "Canary",
    ...(namespace === undefined ? {} : { namespace }),
    name: exception.required("name", exception.string("name")) ?? "",
    ...(uid === undefined ? {} : { uid }),
    reason: exception.required("reason", exception.string("reason")) ?? "",
    by: exception.string("by") ?? "",
  };
  exception.unknownFields();
  return result;
}

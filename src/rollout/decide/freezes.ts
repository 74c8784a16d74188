import { messageOf } from "../../base/index.ts";
import {
  unreadableFreeze,
  type Freeze,
  type FreezeException,
  type FreezeRead,
  type FreezeWindow,
} from "../../api/serin/index.ts";
import type { Blocker } from "./blockers.ts";
import { windowState, type WindowState } from "../../api/serin/freeze-windows/index.ts";

export interface FreezeSubject {
  readonly kind: "Canary" | "MeshUpgrade";
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly uid?: string | undefined;
}

/**
 * The freezes that keep this rollout from beginning a step now. Their texts contain the reason and the end. A freeze
 * that cannot be parsed is in force for all rollouts, because the time of every change might be frozen.
 */
export function freezesInForce(
  freezes: readonly FreezeRead[],
  subject: FreezeSubject,
  nowMs: number,
  stateOf: typeof windowState = windowState,
): Blocker[] {
  return freezes.flatMap((read): Blocker[] => {
    if ("fault" in read) return [unreadable(read.name, read.fault)];
    const { metadata, spec } = read.freeze;
    const exceptions = exceptionsFor(spec, subject);
    if (!isMeant(spec, subject) || exceptions.some(({ uid }) => isOf(uid, subject))) return [];
    const { name = "" } = metadata;
    try {
      const blockers = blockerOf(name, spec, (window) => stateOf(window, spec.timeZone, nowMs));
      return exceptions.length === 0 ? blockers : blockers.map((blocker) => withReason(blocker, subject));
    } catch (error) {
      return [unreadable(name, messageOf(error))];
    }
  });
}

function blockerOf(
  name: string,
  { windows, reason }: Freeze["spec"],
  stateOf: (window: FreezeWindow) => WindowState,
): Blocker[] {
  const ends = windows.flatMap((window) => {
    const { holds, untilMs } = stateOf(window);
    return holds ? [untilMs] : [];
  });
  if (ends.length === 0) return [];
  const until = new Date(Math.max(...ends)).toISOString();
  return [{ reason: "freeze", by: name, text: `freeze ${name} until ${until} (${reason})` }];
}

function unreadable(name: string, fault: string): Blocker {
  return { reason: "freeze", by: name, text: `freeze ${name}, which is ${unreadableFreeze(name, fault)}` };
}

function isMeant({ kinds, namespaces }: Freeze["spec"], { kind, namespace = "" }: FreezeSubject): boolean {
  if (!kinds.includes(kind)) return false;
  return kind !== "Canary" || namespaces.length === 0 || namespaces.includes(namespace);
}

/** The exceptions for the subject's name. They may have been made for another object of that name. */
function exceptionsFor({ exceptions }: Freeze["spec"], subject: FreezeSubject): readonly FreezeException[] {
  return exceptions.filter(
    ({ kind, name, namespace }) =>
      kind === subject.kind && name === subject.name && (namespace ?? subject.namespace) === subject.namespace,
  );
}

/** Whether an exception applies to the subject. One without a uid applies to every rollout of its name. */
function isOf(uid: string | undefined, subject: FreezeSubject): boolean {
  return uid === undefined || subject.uid === undefined || uid === subject.uid;
}

/**
 * The blocker, with the reason why the exception does not apply: a person made the exception for a deleted rollout of
 * this name, and has not seen what this one does.
 */
function withReason(blocker: Blocker, { kind }: FreezeSubject): Blocker {
  return { ...blocker, text: `${blocker.text}; its exception is for an earlier ${kind} of this name` };
}

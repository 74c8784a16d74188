import { messageOf } from "../../base/index.ts";
import { unreadableFreeze, type Freeze, type FreezeRead, type FreezeWindow } from "../../api/serin/index.ts";
import type { Blocker } from "./blockers.ts";
import { windowState, type WindowState } from "../../api/serin/freeze-windows/index.ts";

/** The rollout to which a freeze may apply. */
export interface FreezeSubject {
  readonly kind: "Canary" | "MeshUpgrade";
  readonly namespace?: string;
  readonly name: string;
}

/**
 * The freezes that keep this rollout from beginning a step now. Their texts contain the reason and the end. A freeze
 * that cannot be read is in force for all: nothing may change at a time that might be frozen.
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
    if (!holdsFor(spec, subject)) return [];
    const { name = "" } = metadata;
    try {
      return blockerOf(name, spec, (window) => stateOf(window, spec.timeZone, nowMs));
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

function holdsFor({ kinds, namespaces, exceptions }: Freeze["spec"], subject: FreezeSubject): boolean {
  if (!kinds.includes(subject.kind)) return false;
  if (subject.kind === "Canary" && namespaces.length > 0 && !namespaces.includes(subject.namespace ?? "")) return false;
  return !exceptions.some(
    ({ kind, name: excepted, namespace }) =>
      kind === subject.kind && excepted === subject.name && (namespace ?? subject.namespace) === subject.namespace,
  );
}

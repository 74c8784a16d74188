import { messageOf } from "../../base/index.ts";
import type { Freeze, FreezeWindow } from "../../api/serin/index.ts";
import type { Blocker } from "./blockers.ts";
import { windowState } from "../../api/serin/freeze-windows/index.ts";

/** The rollout to which a freeze may apply. */
export interface FreezeSubject {
  readonly kind: "Canary" | "MeshUpgrade";
  readonly namespace?: string;
  readonly name: string;
}

/** The freezes that keep this rollout from beginning a step now. Their texts have the reason and the end. */
export function freezesInForce(
  freezes: readonly Freeze[],
  subject: FreezeSubject,
  nowMs: number,
  stateOf: typeof windowState = windowState,
): Blocker[] {
  return freezes.flatMap(({ metadata, spec }): Blocker[] => {
    if (!spec.kinds.includes(subject.kind)) return [];
    if (subject.kind === "Canary" && spec.namespaces.length > 0 && !spec.namespaces.includes(subject.namespace ?? ""))
      return [];
    const excepted = spec.exceptions.some(
      ({ kind, name: excepted, namespace }) =>
        kind === subject.kind && excepted === subject.name && (namespace ?? subject.namespace) === subject.namespace,
    );
    if (excepted) return [];
    const { name = "" } = metadata;
    const held = spec.windows.flatMap((window, index) => heldBy(name, window, index, spec.timeZone, nowMs, stateOf));
    const [first] = held;
    return first === undefined ? [] : [{ reason: "freeze", by: name, text: `${first} (${spec.reason})` }];
  });
}

/** A freeze with an unreadable rule is in force: nothing may change at a time that might be frozen. */
function heldBy(
  name: string,
  window: FreezeWindow,
  index: number,
  timeZone: string,
  nowMs: number,
  stateOf: typeof windowState,
): string[] {
  try {
    const { holds, untilMs } = stateOf(window, timeZone, nowMs);
    return holds ? [`freeze ${name} until ${new Date(untilMs).toISOString()}`] : [];
  } catch (error) {
    return [`freeze ${name}: spec.windows[${index}].rrule cannot be read: ${messageOf(error)}`];
  }
}

import { messageOf } from "../../base/index.ts";
import type { Freeze, FreezeWindow } from "../../api/serin/index.ts";
import { windowState } from "../../api/serin/freeze-windows/index.ts";

/** The rollout to which a freeze may apply. */
export interface FreezeSubject {
  readonly kind: "Canary" | "MeshUpgrade";
  readonly namespace?: string;
  readonly name: string;
}

/** The freezes that keep this rollout from beginning a step now, as sentences with the reason and the end. */
export function freezesInForce(
  freezes: readonly Freeze[],
  subject: FreezeSubject,
  nowMs: number,
  stateOf: typeof windowState = windowState,
): string[] {
  return freezes.flatMap(({ metadata, spec }) => {
    if (!spec.kinds.includes(subject.kind)) return [];
    if (subject.kind === "Canary" && spec.namespaces.length > 0 && !spec.namespaces.includes(subject.namespace ?? ""))
      return [];
    const excepted = spec.exceptions.some(
      ({ kind, name, namespace }) =>
        kind === subject.kind && name === subject.name && (namespace ?? subject.namespace) === subject.namespace,
    );
    if (excepted) return [];
    const held = spec.windows.flatMap((window, index) =>
      heldBy(metadata.name ?? "", window, index, spec.timeZone, nowMs, stateOf),
    );
    const [first] = held;
    return first === undefined ? [] : [`${first} (${spec.reason})`];
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

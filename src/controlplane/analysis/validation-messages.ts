import { keyOf, type KubernetesObject } from "../../api/index.ts";
import { groupKindOf, plainMessage, type Message } from "../../analyze/index.ts";
import type { Findings, ValidationMessage } from "./analysis-messages.ts";

/** Identifies an object in messages, for example `networking.istio.io/VirtualService shop/web`. */
export function objectId(groupKind: string, object: KubernetesObject): string {
  return `${groupKind} ${keyOf(object)}`;
}

/** Whether the group is Istio's. As in upstream, only Istio's own kinds have messages in their status. */
export function isIstioGroup(group: string): boolean {
  return group === "istio.io" || group.endsWith(".istio.io");
}

/**
 * The messages for the status of Istio's objects. A message in a status names its type, but has no field for its text.
 * So each object gets at most one message of each type, and none of a type that Istio's pages do not explain.
 */
export function findingsOf(messages: readonly Message[]): Findings {
  const byObject = new Map<string, Map<string, ValidationMessage>>();
  for (const message of messages) {
    const object = message.resource?.object;
    if (object === undefined || !message.type.isOfIstio) continue;
    const groupKind = groupKindOf(object);
    if (!isIstioGroup(groupKind.split("/")[0] ?? "")) continue;
    const id = objectId(groupKind, object);
    const known = byObject.get(id) ?? new Map<string, ValidationMessage>();
    byObject.set(id, known.set(message.type.code, validationMessage(message)));
  }
  return new Map([...byObject].map(([id, byCode]) => [id, [...byCode.values()]]));
}

const levelNames = { Error: "ERROR", Warning: "WARNING", Info: "INFO" } as const;

function validationMessage(message: Message): ValidationMessage {
  const { code, name, level } = message.type;
  return { type: { name, code }, level: levelNames[level], documentationUrl: plainMessage(message).documentationUrl };
}

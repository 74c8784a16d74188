import { ownField } from "../../base/index.ts";
import { defineKind } from "../kind.ts";
import type { Condition, KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { checkListeners, readListener, type Listener, type ListenerStatus } from "./gateway.ts";
import { gatewayGroup, readParentReference, warnOfUnknown, type ParentReference } from "./references.ts";

/** Listeners that are added to a Gateway, if its `allowedListeners` allow this. */
export interface ListenerSet extends KubernetesObject {
  spec: { parentRef: ParentReference; listeners: Listener[] };
  status?: { conditions?: Condition[]; listeners?: ListenerStatus[] };
}

const wellKnownPorts: Readonly<Record<string, number>> = { HTTP: 80, HTTPS: 443 };

export function parseListenerSet(raw: unknown): Parsed<ListenerSet> {
  const object = new Reader(raw);
  const reader = object.object("spec") ?? object.empty("spec");
  const parent = reader.required("parentRef", reader.object("parentRef"));
  const spec = {
    parentRef: parent === undefined ? { group: gatewayGroup, kind: "Gateway", name: "" } : readParentReference(parent),
    listeners: reader
      .objects("listeners")
      .map((listener) => readListener(listener, (protocol) => ownField(wellKnownPorts, protocol))),
  };
  checkListeners(reader, spec.listeners);
  warnOfUnknown(reader);
  return object.finish(() => ({ ...(raw as ListenerSet), spec }));
}

export const listenerSetKind = defineKind<ListenerSet>({
  group: gatewayGroup,
  versions: ["v1"],
  kind: "ListenerSet",
  plural: "listenersets",
  namespaced: true,
  parse: parseListenerSet,
});

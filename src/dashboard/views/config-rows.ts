import type { UntypedObject } from "../../api/index.ts";
import type { ConfigRow } from "../../api/dashboard/index.ts";
import { configKey, type ConfigMessages } from "./config-messages.ts";
import { timeMs } from "./mesh-objects.ts";

export function configRow(object: UntypedObject, messages: ConfigMessages): ConfigRow {
  const found = messages.byObject.get(configKey(object)) ?? [];
  const createdAtMs = timeMs(object.metadata.creationTimestamp);
  return {
    apiVersion: object.apiVersion ?? "",
    kind: object.kind ?? "",
    namespace: object.metadata.namespace ?? "",
    name: object.metadata.name ?? "",
    ...(createdAtMs === undefined ? {} : { createdAtMs }),
    errors: found.filter(({ level }) => level === "Error").length,
    warnings: found.filter(({ level }) => level === "Warning").length,
    firstMessage: found[0] === undefined ? "" : `${found[0].code} ${found[0].text}`,
  };
}

/** For example `VirtualService shop/shop`. The kind Gateway exists in two groups, so Istio's is `istio Gateway`. */
export function configRowKey({ apiVersion = "", kind = "", metadata }: UntypedObject): string {
  const { namespace = "", name = "" } = metadata;
  const place = namespace === "" ? name : `${namespace}/${name}`;
  return kind === "Gateway" && apiVersion.startsWith("networking.istio.io/")
    ? `istio Gateway ${place}`
    : `${kind} ${place}`;
}

export function configRows(objects: readonly UntypedObject[], messages: ConfigMessages): Record<string, ConfigRow> {
  return Object.fromEntries(objects.map((object) => [configRowKey(object), configRow(object, messages)]));
}

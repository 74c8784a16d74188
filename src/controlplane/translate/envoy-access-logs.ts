import { fromBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, AnySchema } from "@bufbuild/protobuf/wkt";
import {
  HttpConnectionManagerSchema,
  ListenerSchema,
  TcpProxySchema,
  type AccessLog,
  type Filter,
} from "../../wire/envoy/index.ts";
import { memos } from "../model/memos.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/**
 * A filter name for access logs that no Envoy accepts. {@link withAcceptedLogs} keeps such a filter from Envoys, and
 * Serin's proxies do not read the name.
 */
export const unacceptedFilter = "serin.access_loggers.extension_filters.cel";

const converted = memos.memo<EncodedResource, EncodedResource>("listeners-for-envoy");
/** Listeners with such a filter are found by these bytes, so that the others need not be decoded. */
const marker = Buffer.from(unacceptedFilter);

/**
 * Removes the access logs of Telemetries whose filter no Envoy accepts. An Envoy would reject the whole listener, which
 * may serve other namespaces too. Each listener is converted once.
 */
export function withAcceptedLogs(listener: EncodedResource): EncodedResource {
  const known = converted.get(listener);
  if (known !== undefined) return known;
  const made = Buffer.from(listener.any.buffer, listener.any.byteOffset, listener.any.length).includes(marker)
    ? convertedListener(listener)
    : listener;
  converted.set(listener, made);
  return made;
}

function convertedListener(resource: EncodedResource): EncodedResource {
  const listener = fromBinary(ListenerSchema, fromBinary(AnySchema, resource.any).value);
  listener.accessLog = listener.accessLog.filter(isAccepted);
  for (const chain of [...listener.filterChains, listener.defaultFilterChain])
    for (const filter of chain?.filters ?? []) convertFilter(filter);
  return encodeResource(ListenerSchema, resource.name, listener);
}

function convertFilter(filter: Filter): void {
  if (filter.configType.case !== "typedConfig") return;
  for (const schema of [HttpConnectionManagerSchema, TcpProxySchema] as const) {
    const config = anyUnpack(filter.configType.value, schema);
    if (config === undefined) continue;
    const logs = config.accessLog.filter(isAccepted);
    if (logs.length === config.accessLog.length) continue;
    config.accessLog = logs;
    filter.configType.value = anyPack(schema, config);
  }
}

function isAccepted({ filter }: Pick<AccessLog, "filter">): boolean {
  const specifier = filter?.filterSpecifier;
  switch (specifier?.case) {
    case "andFilter":
    case "orFilter":
      return specifier.value.filters.every((inner) => isAccepted({ filter: inner }));
    case "extensionFilter":
      return specifier.value.name !== unacceptedFilter;
    default:
      return true;
  }
}

import { fromBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, AnySchema } from "@bufbuild/protobuf/wkt";
import { envoyCelFault } from "../../api/istio/index.ts";
import {
  ExpressionFilterSchema,
  HttpConnectionManagerSchema,
  ListenerSchema,
  TcpProxySchema,
  type AccessLog,
  type AccessLogFilter,
  type Filter,
} from "../../wire/envoy/index.ts";
import { memos } from "../model/memos.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

type Takes = (expression: string) => boolean;

const converted = memos.memo<EncodedResource, EncodedResource>("listeners-for-envoy");
/** The name of the type in an encoded listener. Few listeners have one, and only these are decoded. */
const marker = Buffer.from(ExpressionFilterSchema.typeName);

/**
 * Leaves out the access logs of a listener whose filter no Envoy takes. It would reject the listener, which may serve
 * other namespaces too. Serin's proxies keep these logs. Each listener is converted once.
 */
export function withoutUntakenLogs(listener: EncodedResource): EncodedResource {
  const known = converted.get(listener);
  if (known !== undefined) return known;
  const made = Buffer.from(listener.any.buffer, listener.any.byteOffset, listener.any.length).includes(marker)
    ? convertedListener(listener)
    : listener;
  converted.set(listener, made);
  return made;
}

function convertedListener(resource: EncodedResource): EncodedResource {
  const verdicts = new Map<string, boolean>();
  const takes: Takes = (expression) => {
    const verdict = verdicts.get(expression) ?? envoyCelFault(expression) === undefined;
    verdicts.set(expression, verdict);
    return verdict;
  };
  const listener = fromBinary(ListenerSchema, fromBinary(AnySchema, resource.any).value);
  listener.accessLog = takenLogs(listener.accessLog, takes);
  for (const chain of [...listener.filterChains, listener.defaultFilterChain])
    for (const filter of chain?.filters ?? []) convertFilter(filter, takes);
  return [...verdicts.values()].includes(false) ? encodeResource(ListenerSchema, resource.name, listener) : resource;
}

function convertFilter(filter: Filter, takes: Takes): void {
  if (filter.configType.case !== "typedConfig") return;
  for (const schema of [HttpConnectionManagerSchema, TcpProxySchema] as const) {
    const config = anyUnpack(filter.configType.value, schema);
    if (config === undefined) continue;
    const logs = takenLogs(config.accessLog, takes);
    if (logs.length === config.accessLog.length) continue;
    config.accessLog = logs;
    filter.configType.value = anyPack(schema, config);
  }
}

function takenLogs(logs: readonly AccessLog[], takes: Takes): AccessLog[] {
  return logs.filter(({ filter }) => isTaken(filter, takes));
}

function isTaken(filter: AccessLogFilter | undefined, takes: Takes): boolean {
  const specifier = filter?.filterSpecifier;
  switch (specifier?.case) {
    case "andFilter":
    case "orFilter":
      return specifier.value.filters.every((inner) => isTaken(inner, takes));
    case "extensionFilter": {
      const { configType } = specifier.value;
      if (configType.case !== "typedConfig") return true;
      const config = anyUnpack(configType.value, ExpressionFilterSchema);
      return config === undefined || takes(config.expression);
    }
    default:
      return true;
  }
}

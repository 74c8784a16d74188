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

type Accepts = (expression: string) => boolean;

const converted = memos.memo<EncodedResource, EncodedResource>("listeners-for-envoy");
/** The name of the type in an encoded listener. Few listeners have one, and only these are decoded. */
const marker = Buffer.from(ExpressionFilterSchema.typeName);

/**
 * Leaves out the access logs of a listener whose filter no Envoy accepts. It would reject the listener, which may serve
 * other namespaces too. Serin's proxies keep these logs. Each listener is converted once.
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
  const verdicts = new Map<string, boolean>();
  const accepts: Accepts = (expression) => {
    const verdict = verdicts.get(expression) ?? envoyCelFault(expression) === undefined;
    verdicts.set(expression, verdict);
    return verdict;
  };
  const listener = fromBinary(ListenerSchema, fromBinary(AnySchema, resource.any).value);
  listener.accessLog = acceptedLogs(listener.accessLog, accepts);
  for (const chain of [...listener.filterChains, listener.defaultFilterChain])
    for (const filter of chain?.filters ?? []) convertFilter(filter, accepts);
  return [...verdicts.values()].includes(false) ? encodeResource(ListenerSchema, resource.name, listener) : resource;
}

function convertFilter(filter: Filter, accepts: Accepts): void {
  if (filter.configType.case !== "typedConfig") return;
  for (const schema of [HttpConnectionManagerSchema, TcpProxySchema] as const) {
    const config = anyUnpack(filter.configType.value, schema);
    if (config === undefined) continue;
    const logs = acceptedLogs(config.accessLog, accepts);
    if (logs.length === config.accessLog.length) continue;
    config.accessLog = logs;
    filter.configType.value = anyPack(schema, config);
  }
}

function acceptedLogs(logs: readonly AccessLog[], accepts: Accepts): AccessLog[] {
  return logs.filter(({ filter }) => isAccepted(filter, accepts));
}

function isAccepted(filter: AccessLogFilter | undefined, accepts: Accepts): boolean {
  const specifier = filter?.filterSpecifier;
  switch (specifier?.case) {
    case "andFilter":
    case "orFilter":
      return specifier.value.filters.every((inner) => isAccepted(inner, accepts));
    case "extensionFilter": {
      const { configType } = specifier.value;
      if (configType.case !== "typedConfig") return true;
      const config = anyUnpack(configType.value, ExpressionFilterSchema);
      return config === undefined || accepts(config.expression);
    }
    default:
      return true;
  }
}

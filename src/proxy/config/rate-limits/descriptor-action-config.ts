import { isIP, SocketAddress } from "node:net";
import { addressBytes } from "../../../base/index.ts";
import {
  RateLimit_Action_MetaData_Source,
  type MetadataKey,
  type RateLimit_Action,
  type RateLimit_Action_HeaderValueMatch,
  type RateLimit_Action_MaskedRemoteAddress,
  type RateLimit_Action_MetaData,
  type RateLimit_Action_QueryParameterValueMatch,
  type RateLimit_Action_RemoteAddressMatch,
} from "../../../wire/envoy/index.ts";
import { allOf, headerValue, queryValue, type RequestMatcher } from "../../routing/matchers.ts";
import type { DescribedRequest, DescriptorEntry } from "../../routing/route.ts";
import { percentDecoded, textOfHead } from "../../terms/header-text.ts";
import { compileRange } from "../matchers/address-range-config.ts";
import { invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileHeader, compileQueryParameter } from "../matchers/matcher-config.ts";
import { metadataAt } from "../matchers/metadata-matcher-config.ts";

/**
 * Makes one entry of a request's descriptor. "none" means that the descriptor has no such entry. Undefined means that
 * the request gets no descriptor at all.
 */
export type DescriptorAction = (request: DescribedRequest) => DescriptorEntry | "none" | undefined;

type ActionSpecifier = RateLimit_Action["actionSpecifier"];

export function compileDescriptorAction(action: ActionSpecifier, where: string, notes: ConfigNotes): DescriptorAction {
  switch (action.case) {
    case "genericKey":
      return always(action.value.descriptorKey || "generic_key", action.value.descriptorValue);
    case "requestHeaders": {
      const name = action.value.headerName.toLowerCase();
      return valueAction(action.value, where, (request) => firstHeader(request, name));
    }
    case "queryParameters": {
      const { queryParameterName: name } = action.value;
      return valueAction(action.value, where, ({ query }) => queryValue(query, name, percentDecoded));
    }
    case "remoteAddress":
      return ({ clientAddress: value }) => (isIP(value) === 0 ? undefined : { key: "remote_address", value });
    case "maskedRemoteAddress":
      return compileMask(action.value, where);
    case "remoteAddressMatch":
      return compileAddressMatch(action.value, where);
    case "headerValueMatch":
      return compileHeaderMatch(action.value, where, notes);
    case "queryParameterValueMatch":
      return compileQueryMatch(action.value, where, notes);
    case "metadata":
      return compileMetadataEntry(action.value, where);
    case "dynamicMetadata":
      return compileMetadataEntry(
        { ...action.value, source: RateLimit_Action_MetaData_Source.DYNAMIC, skipIfAbsent: false },
        where,
      );
    case "destinationCluster":
      return ({ cluster: value }) => (value === undefined ? undefined : { key: "destination_cluster", value });
    case "sourceCluster":
      return always("source_cluster", notes.services.serviceName);
    default:
      throw unsupported(where, action.case ?? "an action of this kind");
  }
}

function always(key: string, value: string): DescriptorAction {
  return () => ({ key, value });
}

function valueAction(
  { descriptorKey: key, skipIfAbsent }: { readonly descriptorKey: string; readonly skipIfAbsent: boolean },
  where: string,
  read: (request: DescribedRequest) => string | undefined,
): DescriptorAction {
  if (key === "") throw invalid(where, "descriptorKey must not be empty");
  return (request) => {
    const value = read(request);
    return value === undefined ? (skipIfAbsent ? "none" : undefined) : { key, value };
  };
}

/** The first value of a header, as in Envoy, even if the header occurs several times. */
function firstHeader(request: DescribedRequest, name: string): string | undefined {
  return textOfHead(name.startsWith(":") || name === "host" ? headerValue(request, name) : request.values(name)[0]);
}

function compileMask(message: RateLimit_Action_MaskedRemoteAddress, where: string): DescriptorAction {
  const { v4PrefixMaskLen: v4 = 32, v6PrefixMaskLen: v6 = 128 } = message;
  if (v4 > 32) throw invalid(where, `v4PrefixMaskLen must be at most 32, got ${v4}`);
  if (v6 > 128) throw invalid(where, `v6PrefixMaskLen must be at most 128, got ${v6}`);
  return ({ clientAddress }) => {
    const bytes = addressBytes(clientAddress);
    if (bytes === undefined) return undefined;
    return { key: "masked_remote_address", value: maskedText(bytes, bytes.length === 4 ? v4 : v6) };
  };
}

function maskedText(bytes: Uint8Array, length: number): string {
  const masked = bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, length - index * 8))) & 0xff);
  if (masked.length === 4) return `${masked.join(".")}/${length}`;
  const groups = Array.from({ length: 8 }, (_, group) =>
    (((masked[group * 2] ?? 0) << 8) | (masked[group * 2 + 1] ?? 0)).toString(16),
  );
  return `${new SocketAddress({ address: groups.join(":"), family: "ipv6" }).address}/${length}`;
}

function compileAddressMatch(message: RateLimit_Action_RemoteAddressMatch, where: string): DescriptorAction {
  const { addressMatcher, descriptorKey, descriptorValue: value } = message;
  if (addressMatcher === undefined) throw invalid(where, "addressMatcher must be set");
  if (value.includes("%")) throw unsupported(where, `the format "${value}" in descriptorValue`);
  const ranges = addressMatcher.ranges.map((range) => compileRange(range, where));
  const entry = value === "" ? message.defaultValue : value;
  return ({ clientAddress }) => {
    if (ranges.some((contains) => contains(clientAddress)) === addressMatcher.invertMatch) return undefined;
    return entry === "" ? "none" : { key: descriptorKey || "remote_address_match", value: entry };
  };
}

function matchAction(
  message: RateLimit_Action_HeaderValueMatch | RateLimit_Action_QueryParameterValueMatch,
  defaultKey: string,
  matchers: readonly RequestMatcher[],
): DescriptorAction {
  const matches = allOf(matchers);
  const { descriptorKey, descriptorValue: value, expectMatch = true } = message;
  return (request) => (matches(request) === expectMatch ? { key: descriptorKey || defaultKey, value } : undefined);
}

function compileHeaderMatch(message: RateLimit_Action_HeaderValueMatch, where: string, notes: ConfigNotes) {
  if (message.headers.length === 0) throw invalid(where, "headers must have at least one entry");
  return matchAction(
    message,
    "header_match",
    message.headers.map((header) => compileHeader(header, where, notes)),
  );
}

function compileQueryMatch(message: RateLimit_Action_QueryParameterValueMatch, where: string, notes: ConfigNotes) {
  if (message.queryParameters.length === 0) throw invalid(where, "queryParameters must have at least one entry");
  return matchAction(
    message,
    "query_match",
    message.queryParameters.map((parameter) => compileQueryParameter(parameter, where, notes)),
  );
}

interface MetadataEntry extends Pick<RateLimit_Action_MetaData, "descriptorKey" | "defaultValue" | "source"> {
  readonly metadataKey?: MetadataKey | undefined;
  readonly skipIfAbsent: boolean;
}

/** An entry from the metadata of the request's filters, or of its route. As in Envoy, only text counts as a value. */
function compileMetadataEntry(message: MetadataEntry, where: string): DescriptorAction {
  const { metadataKey, defaultValue, source } = message;
  if (metadataKey === undefined) throw invalid(where, "metadataKey must be set");
  const ofRoute = source === RateLimit_Action_MetaData_Source.ROUTE_ENTRY;
  if (!ofRoute && source !== RateLimit_Action_MetaData_Source.DYNAMIC)
    throw unsupported(where, `metadata of the source ${RateLimit_Action_MetaData_Source[source]}`);
  const { key } = metadataKey;
  const path = metadataKey.path.map(({ segment }) => String(segment.value ?? ""));
  return valueAction(message, where, ({ metadata, route }) => {
    const value = metadataAt(ofRoute ? route?.metadata?.[key] : metadata.get(key), path);
    return typeof value === "string" && value !== "" ? value : defaultValue || undefined;
  });
}

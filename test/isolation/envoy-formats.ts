// Finds what an Envoy rejects in route tables and listeners, although Serin's proxies accept it: formats of headers and
// tags, and values that break the rules of its API. The types of the API have no rules here, so this file has those
// that users' texts may break.
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack, AnySchema } from "@bufbuild/protobuf/wkt";
import { envoyFormatFault, headerValueFault } from "../../src/api/istio/expressions/http-headers.ts";
import type { EncodedResource } from "../../src/controlplane/translate/index.ts";
import {
  HttpConnectionManagerSchema,
  HttpRbacSchema,
  JwtAuthenticationSchema,
  ListenerSchema,
  RouteConfigurationSchema,
  type RouteConfiguration,
} from "../../src/wire/envoy/index.ts";

/** In bytes, unless a route table sets another limit. */
const maxBodyBytes = 4096;
/** The longest duration that Envoy accepts. */
const maxSeconds = 9_223_372_035n;
const maxParameterBytes = 1024;
const maxAttributeBytes = 16_384;
/** The packed messages in which it looks for faults too. */
const unpacked = [HttpConnectionManagerSchema, JwtAuthenticationSchema, HttpRbacSchema] as const;
/** The texts of these messages may be empty, but must not contain line breaks. */
const ofOneLine: ReadonlySet<string> = new Set([
  "envoy.config.core.v3.HeaderValueOption",
  "envoy.config.route.v3.RouteAction",
  "envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute",
  "envoy.config.route.v3.RedirectAction",
  "envoy.type.matcher.v3.RegexMatchAndSubstitute",
  "envoy.extensions.filters.http.jwt_authn.v3.JwtHeader",
]);
/** Fields whose names must not be empty. Names of headers and attributes must not contain line breaks. */
const names: Readonly<Record<string, string>> = {
  "envoy.config.route.v3.HeaderMatcher": "name",
  "envoy.config.route.v3.RouteAction.HashPolicy.Header": "headerName",
  "envoy.config.route.v3.RouteAction.HashPolicy.Cookie": "name",
  "envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute": "name",
  "envoy.config.route.v3.QueryParameterMatcher": "name",
  "envoy.extensions.filters.http.jwt_authn.v3.JwtHeader": "name",
  "envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader": "headerName",
};

export function formatFaults(type: string, { name, any }: EncodedResource): string[] {
  const bytes = fromBinary(AnySchema, any).value;
  const message =
    type === "listener"
      ? fromBinary(ListenerSchema, bytes)
      : type === "route"
        ? fromBinary(RouteConfigurationSchema, bytes)
        : undefined;
  return faultsIn(message).map((fault) => `${name}: ${fault}`);
}

function faultsIn(value: unknown, maxBytes = maxBodyBytes): string[] {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return [];
  const { $typeName: type } = value as { readonly $typeName?: string };
  const inner = type === RouteConfigurationSchema.typeName ? bodyLimit(value as RouteConfiguration) : maxBytes;
  const own = type === undefined ? undefined : ownFault(type, value as Readonly<Record<string, unknown>>, maxBytes);
  const packed = type === "google.protobuf.Any" ? unpacked.map((schema) => anyUnpack(value as never, schema)) : [];
  return [
    ...(own === undefined ? [] : [own]),
    ...[...Object.values(value), ...packed].flatMap((child) => faultsIn(child, inner)),
  ];
}

function bodyLimit({ maxDirectResponseBodySizeBytes }: RouteConfiguration): number {
  return maxDirectResponseBodySizeBytes ?? maxBodyBytes;
}

function ownFault(type: string, message: Readonly<Record<string, unknown>>, maxBytes: number): string | undefined {
  if (type === "envoy.config.route.v3.DirectResponseAction") return bodyFault(message, maxBytes);
  return textFault(type, message) ?? valueFault(type, message);
}

function textFault(type: string, message: Readonly<Record<string, unknown>>): string | undefined {
  const name = names[type] === undefined ? undefined : String(message[names[type]]);
  if (name === "") return `${type} without a name`;
  const isHeader = name !== undefined && !/QueryParameterMatcher|Cookie$/.test(type);
  const broken = [...(ofOneLine.has(type) ? textsOf(message) : []), ...(isHeader ? [name] : [])].find((text) =>
    /[\r\n\0]/.test(text),
  );
  return broken === undefined ? undefined : `a line break in ${JSON.stringify(broken)}`;
}

function valueFault(type: string, message: Readonly<Record<string, unknown>>): string | undefined {
  switch (type) {
    case "google.protobuf.Duration": {
      const { seconds } = message as { readonly seconds: bigint };
      return seconds > maxSeconds ? `a duration of ${seconds} seconds` : undefined;
    }
    case "envoy.config.route.v3.QueryParameterMatcher":
      return byteLength(message["name"]) > maxParameterBytes ? "a parameter with a long name" : undefined;
    case "envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute":
      return textsOf(message).some((text) => byteLength(text) > maxAttributeBytes)
        ? "an attribute of a cookie that is too long"
        : undefined;
    case "envoy.config.route.v3.RouteMatch": {
      const { case: kind, value } = message["pathSpecifier"] as { readonly case?: string; readonly value?: unknown };
      return kind === "pathSeparatedPrefix" && !/^[^?#]+[^?#/]$/.test(String(value))
        ? `the prefix ${JSON.stringify(value)}`
        : undefined;
    }
    case "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider":
      return /[\r\n\0]/.test(String(message["forwardPayloadHeader"]))
        ? "a line break in the header of a token's payload"
        : undefined;
    case "envoy.type.matcher.v3.MetadataMatcher.PathSegment": {
      const { value } = message["segment"] as { readonly value?: string };
      return value === "" || value === undefined ? "an empty key of metadata" : undefined;
    }
    case "envoy.config.core.v3.HeaderValueOption": {
      const { key = "", value = "" } = (message["header"] ?? {}) as { readonly key?: string; readonly value?: string };
      const fault = headerValueFault(value);
      return fault === undefined ? undefined : `the header ${key} ${fault}`;
    }
    case "envoy.type.tracing.v3.CustomTag": {
      const { case: kind, value } = message["type"] as { readonly case?: string; readonly value?: unknown };
      const { name } = (kind === "requestHeader" ? value : {}) as { readonly name?: string };
      if (name !== undefined && !/^[^\0\r\n]+$/.test(name)) return `a tag of the header ${JSON.stringify(name)}`;
      const fault = kind === "value" && typeof value === "string" ? envoyFormatFault(value, "tag") : undefined;
      return fault === undefined ? undefined : `the tag ${String(message["tag"])} ${fault}`;
    }
    case "envoy.config.route.v3.RetryPolicy.RetryBackOff": {
      const { seconds = 0n, nanos = 0 } = (message["baseInterval"] ?? {}) as { seconds?: bigint; nanos?: number };
      return seconds > 0n || nanos > 0 ? undefined : "a retry without a backoff";
    }
    default:
      return undefined;
  }
}

function bodyFault({ body }: Readonly<Record<string, unknown>>, maxBytes: number): string | undefined {
  const { specifier } = (body ?? {}) as { readonly specifier?: { readonly value?: string | Uint8Array } };
  const size = Buffer.from(specifier?.value ?? "").length;
  return size > maxBytes ? `a direct response of ${size} bytes` : undefined;
}

function byteLength(text: unknown): number {
  return Buffer.byteLength(String(text));
}

function textsOf(message: Readonly<Record<string, unknown>>): string[] {
  return Object.values(message)
    .map((value) =>
      typeof value === "object" && value !== null && "case" in value ? Reflect.get(value, "value") : value,
    )
    .filter((value) => typeof value === "string");
}

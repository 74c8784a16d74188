import { exceedsFormat } from "../istio/expressions/expression-bound.ts";
import { checkText, literalValueFault } from "../istio/expressions/http-headers.ts";
import { readPortNumber } from "../istio/fields.ts";
import type { Reader } from "../reader.ts";
import { readBackendObjectReference, readHostname, readStrings, type BackendObjectReference } from "./references.ts";

export interface HeaderModifier {
  set: HttpHeader[];
  add: HttpHeader[];
  remove: string[];
}

export interface HttpHeader {
  name: string;
  value: string;
}

export type PathModifier =
  | { type: "ReplaceFullPath"; replaceFullPath: string }
  | { type: "ReplacePrefixMatch"; replacePrefixMatch: string };

export interface RequestRedirect {
  scheme?: "http" | "https" | undefined;
  hostname?: string | undefined;
  path?: PathModifier | undefined;
  port?: number | undefined;
  statusCode: 301 | 302 | 303 | 307 | 308;
}

export interface UrlRewrite {
  hostname?: string | undefined;
  path?: PathModifier | undefined;
}

export interface RequestMirror {
  backendRef: BackendObjectReference;
  /** A percentage. Absent if there is a fraction. */
  percent?: number | undefined;
  fraction?: { numerator: number; denominator: number } | undefined;
}

export interface CorsFilter {
  allowOrigins: string[];
  allowCredentials: boolean;
  allowMethods: string[];
  allowHeaders: string[];
  exposeHeaders: string[];
  maxAge: number;
}

export type HttpRouteFilter =
  | { type: "RequestHeaderModifier"; requestHeaderModifier: HeaderModifier }
  | { type: "ResponseHeaderModifier"; responseHeaderModifier: HeaderModifier }
  | { type: "RequestRedirect"; requestRedirect: RequestRedirect }
  | { type: "URLRewrite"; urlRewrite: UrlRewrite }
  | { type: "RequestMirror"; requestMirror: RequestMirror }
  | { type: "CORS"; cors: CorsFilter }
  | { type: "ExternalAuth" }
  | { type: "ExtensionRef"; extensionRef: { group: string; kind: string; name: string } };

const filterFields = {
  RequestHeaderModifier: "requestHeaderModifier",
  ResponseHeaderModifier: "responseHeaderModifier",
  RequestRedirect: "requestRedirect",
  URLRewrite: "urlRewrite",
  RequestMirror: "requestMirror",
  CORS: "cors",
  ExternalAuth: "externalAuth",
  ExtensionRef: "extensionRef",
} as const;
type FilterType = keyof typeof filterFields;

const defaultFractionDenominator = 100;
const defaultCorsMaxAgeSeconds = 5;
const headerNamePattern = /^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/;

export function readFilters(reader: Reader): HttpRouteFilter[] {
  const filters = reader.objects("filters").flatMap((filter) => readFilter(filter) ?? []);
  const types = filters.map((filter) => filter.type);
  if (types.includes("RequestRedirect") && types.includes("URLRewrite"))
    reader.error("must not have both RequestRedirect and URLRewrite", "filters");
  for (const type of [
    "RequestHeaderModifier",
    "ResponseHeaderModifier",
    "RequestRedirect",
    "URLRewrite",
    "CORS",
  ] as const) {
    if (types.filter((found) => found === type).length > 1) reader.error(`must have ${type} at most once`, "filters");
  }
  return filters;
}

function readFilter(reader: Reader): HttpRouteFilter | undefined {
  const type = reader.required("type", reader.oneOf("type", Object.keys(filterFields) as FilterType[]));
  for (const [other, field] of Object.entries(filterFields)) {
    if (other !== type && type !== undefined && reader.has(field))
      reader.error(`must not be set when the type is ${type}`, field);
  }
  if (type === undefined) return undefined;
  const body = reader.object(filterFields[type]);
  if (body === undefined) {
    reader.error(`is required when the type is ${type}`, filterFields[type]);
    return undefined;
  }
  return readFilterBody(type, body);
}

function readFilterBody(type: FilterType, body: Reader): HttpRouteFilter {
  switch (type) {
    case "RequestHeaderModifier":
      return { type, requestHeaderModifier: readHeaderModifier(body) };
    case "ResponseHeaderModifier":
      return { type, responseHeaderModifier: readHeaderModifier(body) };
    case "RequestRedirect":
      return { type, requestRedirect: readRedirect(body) };
    case "URLRewrite":
      return { type, urlRewrite: { hostname: readHostname(body, "hostname"), path: readPathModifier(body) } };
    case "RequestMirror":
      return { type, requestMirror: readMirror(body) };
    case "CORS":
      return { type, cors: readCors(body) };
    case "ExternalAuth":
      body.warn(
        "is not supported: requests of the rule are answered by 500; use an AuthorizationPolicy of action CUSTOM",
      );
      return { type };
    default:
      return {
        type,
        extensionRef: {
          group: body.string("group") ?? "",
          kind: body.string("kind") ?? "",
          name: body.string("name") ?? "",
        },
      };
  }
}

function readHeaderModifier(reader: Reader): HeaderModifier {
  return {
    set: reader.objects("set").map(readHeader),
    add: reader.objects("add").map(readHeader),
    remove: readRemoved(reader),
  };
}

/** Checks the names, because the CRD does not, and a proxy rejects the routes of the whole port if one is invalid. */
function readRemoved(reader: Reader): string[] {
  const names = readStrings(reader, "remove");
  const wrong = names.find((name) => !headerNamePattern.test(name));
  if (wrong !== undefined) reader.error(`must list HTTP header names, got "${wrong}"`, "remove");
  return names;
}

function readHeader(reader: Reader): HttpHeader {
  const name = readHeaderName(reader);
  const value = reader.required("value", reader.string("value")) ?? "";
  // A proxy that gets an invalid value rejects the routes of the whole port.
  const fault = literalValueFault(value);
  if (fault !== undefined) reader.error(fault, "value");
  else exceedsFormat(reader, "value", value);
  return { name, value };
}

export function readHeaderName(reader: Reader): string {
  const name = reader.required("name", reader.string("name")) ?? "";
  if (reader.has("name") && !headerNamePattern.test(name))
    reader.error(`must be an HTTP header name, got "${name}"`, "name");
  return name;
}

function readRedirect(reader: Reader): RequestRedirect {
  const statusCode = reader.integer("statusCode") ?? 302;
  if (![301, 302, 303, 307, 308].includes(statusCode))
    reader.error(`must be 301, 302, 303, 307 or 308, got ${statusCode}`, "statusCode");
  return {
    scheme: reader.oneOf("scheme", ["http", "https"]),
    hostname: readHostname(reader, "hostname"),
    path: readPathModifier(reader),
    port: readPortNumber(reader, "port"),
    statusCode: statusCode as RequestRedirect["statusCode"],
  };
}

function readPathModifier(parent: Reader): PathModifier | undefined {
  const reader = parent.object("path");
  if (reader === undefined) return undefined;
  const type = reader.required("type", reader.oneOf("type", ["ReplaceFullPath", "ReplacePrefixMatch"]));
  if (type === "ReplaceFullPath") return { type, replaceFullPath: readPath(reader, "replaceFullPath") };
  if (type === "ReplacePrefixMatch") return { type, replacePrefixMatch: readPath(reader, "replacePrefixMatch") };
  return undefined;
}

function readPath(reader: Reader, field: string): string {
  const path = reader.required(field, reader.string(field)) ?? "";
  checkText(reader, field, path, literalValueFault);
  return path;
}

function readMirror(reader: Reader): RequestMirror {
  const backend = reader.object("backendRef");
  if (backend === undefined) reader.required("backendRef", undefined);
  const fraction = reader.object("fraction");
  if (fraction !== undefined && reader.has("percent")) reader.error("cannot be combined with percent", "fraction");
  return {
    backendRef: backend === undefined ? { group: "", kind: "Service", name: "" } : readBackendObjectReference(backend),
    percent: reader.integer("percent", 0, 100),
    fraction:
      fraction === undefined
        ? undefined
        : {
            numerator: fraction.integer("numerator", 0) ?? 0,
            denominator: fraction.integer("denominator", 1) ?? defaultFractionDenominator,
          },
  };
}

function readCors(reader: Reader): CorsFilter {
  return {
    allowOrigins: readStrings(reader, "allowOrigins"),
    allowCredentials: reader.boolean("allowCredentials") ?? false,
    allowMethods: readStrings(reader, "allowMethods"),
    allowHeaders: readStrings(reader, "allowHeaders"),
    exposeHeaders: readStrings(reader, "exposeHeaders"),
    maxAge: reader.integer("maxAge", 0) ?? defaultCorsMaxAgeSeconds,
  };
}

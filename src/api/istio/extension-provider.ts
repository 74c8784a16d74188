import type { Reader } from "../reader.ts";
import { readDurationMs, readText, requireText, warnOfUnknown } from "./fields.ts";

/** A service outside of the proxies that policies name: of `extensionProviders` of the mesh config. */
export type ExtensionProvider =
  | { readonly kind: "authorization-http"; readonly name: string; readonly settings: HttpAuthorizationProvider }
  | { readonly kind: "authorization-grpc"; readonly name: string; readonly settings: GrpcAuthorizationProvider }
  | { readonly kind: "access-log-file"; readonly name: string; readonly settings: FileLogProvider }
  /** Of a kind that Serin does not act on. */
  | { readonly kind: "other"; readonly name: string };

interface AuthorizationProvider {
  /** A host name, or `namespace/host name`. */
  readonly service: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly failOpen: boolean;
  readonly clearRouteCache: boolean;
  /** Absent: 403. */
  readonly statusOnError?: number | undefined;
  readonly requestBody?: { readonly maxBytes: number; readonly allowPartial: boolean; readonly packAsBytes: boolean } | undefined;
}

export interface HttpAuthorizationProvider extends AuthorizationProvider {
  readonly pathPrefix: string;
  /** Patterns: exact, `prefix*` or `*suffix`. */
  readonly includeRequestHeadersInCheck: readonly string[];
  readonly includeAdditionalHeadersInCheck: Readonly<Record<string, string>>;
  readonly headersToUpstreamOnAllow: readonly string[];
  readonly headersToDownstreamOnAllow: readonly string[];
  readonly headersToDownstreamOnDeny: readonly string[];
}

export interface GrpcAuthorizationProvider extends AuthorizationProvider {
  readonly includePeerCertificate: boolean;
}

export interface FileLogProvider {
  readonly path: string;
  /** Of a text log; empty: Istio's own. */
  readonly text: string;
  /** Of a JSON log, by key; absent: a text log. */
  readonly labels?: Readonly<Record<string, unknown>> | undefined;
}

const defaultTimeoutMs = 600_000;
const maxStatus = 599;
const minStatus = 100;

export function readExtensionProviders(reader: Reader): readonly ExtensionProvider[] {
  return reader.list("extensionProviders").map((entry) => {
    const name = requireText(entry, "name");
    const http = entry.object("envoyExtAuthzHttp");
    if (http !== undefined) return { kind: "authorization-http", name, settings: readHttpAuthorization(http) };
    const grpc = entry.object("envoyExtAuthzGrpc");
    if (grpc !== undefined) return { kind: "authorization-grpc", name, settings: { ...readAuthorization(grpc), includePeerCertificate: grpc.boolean("includePeerCertificate") ?? false } };
    const file = entry.object("envoyFileAccessLog");
    if (file !== undefined) return { kind: "access-log-file", name, settings: readFileLog(file) };
    return { kind: "other", name };
  });
}

function readAuthorization(reader: Reader): AuthorizationProvider {
  const body = reader.object("includeRequestBodyInCheck");
  const status = reader.string("statusOnError");
  const code = status === undefined ? undefined : Number(status);
  if (code !== undefined && !(Number.isInteger(code) && code >= minStatus && code <= maxStatus)) reader.error(`must be an HTTP status, got "${status}"`, "statusOnError");
  return {
    service: requireText(reader, "service"),
    port: reader.required("port", reader.integer("port", 1, 65_535)) ?? 0,
    timeoutMs: readDurationMs(reader, "timeout") ?? defaultTimeoutMs,
    failOpen: reader.boolean("failOpen") ?? false,
    clearRouteCache: reader.boolean("clearRouteCache") ?? false,
    statusOnError: code,
    requestBody:
      body === undefined
        ? undefined
        : { maxBytes: body.integer("maxRequestBytes", 0) ?? 0, allowPartial: body.boolean("allowPartialMessage") ?? false, packAsBytes: body.boolean("packAsBytes") ?? false },
  };
}

function readHttpAuthorization(reader: Reader): HttpAuthorizationProvider {
  const settings: HttpAuthorizationProvider = {
    ...readAuthorization(reader),
    pathPrefix: reader.string("pathPrefix") ?? "",
    includeRequestHeadersInCheck: [...reader.strings("includeRequestHeadersInCheck"), ...reader.strings("includeHeadersInCheck")],
    includeAdditionalHeadersInCheck: reader.stringMap("includeAdditionalHeadersInCheck"),
    headersToUpstreamOnAllow: reader.strings("headersToUpstreamOnAllow"),
    headersToDownstreamOnAllow: reader.strings("headersToDownstreamOnAllow"),
    headersToDownstreamOnDeny: reader.strings("headersToDownstreamOnDeny"),
  };
  if (settings.pathPrefix !== "" && !settings.pathPrefix.startsWith("/")) reader.error(`must begin with /, got "${settings.pathPrefix}"`, "pathPrefix");
  warnOfUnknown(reader);
  return settings;
}

function readFileLog(reader: Reader): FileLogProvider {
  const format = reader.object("logFormat");
  const labels = format?.object("labels");
  return { path: readText(reader, "path") ?? "/dev/stdout", text: format?.string("text") ?? "", labels: labels?.raw as Readonly<Record<string, unknown>> | undefined };
}

import type { Reader } from "../../reader.ts";
import { readDurationMs, warnOfUnknown } from "../fields.ts";
import { readServicePort, type ProviderService } from "./provider-service.ts";

interface AuthorizationProvider extends ProviderService {
  readonly timeoutMs: number;
  readonly failOpen: boolean;
  readonly clearRouteCache: boolean;
  /** The status of the response if the service fails. Absent means 403. */
  readonly statusOnError?: number | undefined;
  readonly requestBody?:
    | { readonly maxBytes: number; readonly allowPartial: boolean; readonly packAsBytes: boolean }
    | undefined;
}

export interface HttpAuthorizationProvider extends AuthorizationProvider {
  readonly pathPrefix: string;
  /** Names of headers, in the form `name`, `prefix*` or `*suffix`. */
  readonly includeRequestHeadersInCheck: readonly string[];
  readonly includeAdditionalHeadersInCheck: Readonly<Record<string, string>>;
  readonly headersToUpstreamOnAllow: readonly string[];
  readonly headersToDownstreamOnAllow: readonly string[];
  readonly headersToDownstreamOnDeny: readonly string[];
}

export interface GrpcAuthorizationProvider extends AuthorizationProvider {
  readonly includePeerCertificate: boolean;
}

const defaultTimeoutMs = 600_000;
const maxStatus = 599;
const minStatus = 100;

function readAuthorization(reader: Reader): AuthorizationProvider {
  const body = reader.object("includeRequestBodyInCheck");
  const status = reader.string("statusOnError");
  const code = status === undefined ? undefined : Number(status);
  if (code !== undefined && !(Number.isInteger(code) && code >= minStatus && code <= maxStatus))
    reader.error(`must be an HTTP status, got "${status}"`, "statusOnError");
  const provider: AuthorizationProvider = {
    ...readServicePort(reader),
    timeoutMs: readDurationMs(reader, "timeout") ?? defaultTimeoutMs,
    failOpen: reader.boolean("failOpen") ?? false,
    clearRouteCache: reader.boolean("clearRouteCache") ?? false,
    statusOnError: code,
    requestBody:
      body === undefined
        ? undefined
        : {
            maxBytes: body.integer("maxRequestBytes", 0) ?? 0,
            allowPartial: body.boolean("allowPartialMessage") ?? false,
            packAsBytes: body.boolean("packAsBytes") ?? false,
          },
  };
  warnOfUnknown(body);
  return provider;
}

export function readHttpAuthorization(reader: Reader): HttpAuthorizationProvider {
  const settings: HttpAuthorizationProvider = {
    ...readAuthorization(reader),
    pathPrefix: reader.string("pathPrefix") ?? "",
    includeRequestHeadersInCheck: [
      ...reader.strings("includeRequestHeadersInCheck"),
      ...reader.strings("includeHeadersInCheck"),
    ],
    includeAdditionalHeadersInCheck: reader.stringMap("includeAdditionalHeadersInCheck"),
    headersToUpstreamOnAllow: reader.strings("headersToUpstreamOnAllow"),
    headersToDownstreamOnAllow: reader.strings("headersToDownstreamOnAllow"),
    headersToDownstreamOnDeny: reader.strings("headersToDownstreamOnDeny"),
  };
  if (settings.pathPrefix !== "" && !settings.pathPrefix.startsWith("/"))
    reader.error(`must begin with /, got "${settings.pathPrefix}"`, "pathPrefix");
  warnOfUnknown(reader);
  return settings;
}

export function readGrpcAuthorization(reader: Reader): GrpcAuthorizationProvider {
  const settings = {
    ...readAuthorization(reader),
    includePeerCertificate: reader.boolean("includePeerCertificate") ?? false,
  };
  warnOfUnknown(reader);
  return settings;
}

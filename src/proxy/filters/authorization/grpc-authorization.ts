import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { transientError, type Clock } from "../../../base/index.ts";
import type { SocketAddress } from "../../../net/index.ts";
import {
  CheckRequestSchema,
  CheckResponseSchema,
  type CheckResponse,
  type HeaderValueOption,
  type OkHttpResponse,
  type QueryParameter,
} from "../../../wire/envoy/index.ts";
import type { ConnectionInfo } from "../../terms/connection-info.ts";
import { statusForClient } from "./denied-status.ts";
import {
  partialBodyField,
  type AskAuthorization,
  type AuthorizationAnswer,
  type FieldEdit,
} from "./ext-authz-filter.ts";
import { callGrpc, type GrpcTarget } from "../../terms/grpc-call.ts";
import type { FilterRequest, RequestBodyStart } from "../http-filter.ts";
import { queryAfterEdits, type QueryEdits } from "../query-edits.ts";
import { messageTextOfHead } from "../../terms/header-text.ts";
import { fieldOf, fieldsOf, isField } from "../service-fields.ts";

export interface GrpcAuthorizationOptions extends GrpcTarget {
  readonly isSent: (name: string) => boolean;
  readonly includesCertificate: boolean;
  readonly includesTlsSession: boolean;
  /** Whether bodies are sent as bytes. If false, they are sent as text, with invalid UTF-8 replaced. */
  readonly packsBodyAsBytes: boolean;
  readonly metadataNamespaces: readonly string[];
  readonly clock: Clock;
}

/** The facts that are sent to a service about a connection, or about a request on it. */
type Attributes = Exclude<
  NonNullable<Exclude<MessageInitShape<typeof CheckRequestSchema>, { $typeName: string }>["attributes"]>,
  { $typeName: string }
>;

/** Asks about a request with Envoy's call `Authorization.Check`. */
export function grpcAuthorization(options: GrpcAuthorizationOptions): AskAuthorization {
  return async (request, { extensions, body }, signal) => {
    const { connection } = request;
    const attributes = {
      ...endsOf(connection, options),
      request: requestOf(request, body, options),
      contextExtensions: { ...extensions },
      metadataContext: { filterMetadata: metadataOf(request.metadata, options.metadataNamespaces) },
    };
    return verdictOf(await check(attributes, options, signal));
  };
}

export function grpcConnectionAuthorization(
  options: GrpcAuthorizationOptions,
): (info: ConnectionInfo, metadata: ReadonlyMap<string, unknown>, signal: AbortSignal) => Promise<AuthorizationAnswer> {
  return async (info, metadata, signal) => {
    const attributes = {
      ...endsOf(info, options),
      metadataContext: { filterMetadata: metadataOf(metadata, options.metadataNamespaces) },
    };
    return verdictOf(await check(attributes, options, signal));
  };
}

async function check(
  attributes: Attributes,
  options: GrpcAuthorizationOptions,
  signal: AbortSignal,
): Promise<CheckResponse> {
  const message = toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes }));
  const path = "/envoy.service.auth.v3.Authorization/Check";
  return fromBinary(CheckResponseSchema, await callGrpc(options, path, message, signal, failed));
}

function failed(answer: string): Error {
  return transientError("authorization-failed", `the authorization service answered ${answer}`);
}

function endsOf(connection: ConnectionInfo, options: GrpcAuthorizationOptions): Attributes {
  const { tls } = connection;
  return {
    source: {
      address: addressOf(connection.remote),
      principal: tls?.peerIdentity ?? "",
      certificate: options.includesCertificate ? encodeURIComponent(tls?.peerCertificate() ?? "") : "",
    },
    destination: { address: addressOf(connection.local), principal: tls?.localIdentity ?? "" },
    ...(options.includesTlsSession && tls !== undefined ? { tlsSession: { sni: tls.serverName } } : {}),
  };
}

function requestOf(
  request: FilterRequest,
  body: RequestBodyStart | undefined,
  options: GrpcAuthorizationOptions,
): NonNullable<Attributes["request"]> {
  const query = queryAfterEdits(request);
  const path = query === "" ? request.path : `${request.path}?${query}`;
  // A Map, because a client may name a header `constructor` or `__proto__`, which every plain object already has.
  const headers = new Map([
    [":method", request.method],
    [":path", path],
    [":authority", request.authority],
    [":scheme", request.scheme],
  ]);
  for (const [name, value] of request.headers()) {
    // Skip the host and pseudo headers, because the map already contains them, with the edits of filters.
    if (name === "host" || name.startsWith(":") || !options.isSent(name)) continue;
    const before = headers.get(name);
    const text = messageTextOfHead(value);
    headers.set(name, before === undefined ? text : `${before},${text}`);
  }
  // Remove the client's own header of this name, because the service would mistake it for the proxy's.
  headers.delete(partialBodyField);
  if (body !== undefined) headers.set(partialBodyField, String(!body.isWhole));
  return {
    time: timestampFromMs(options.clock.nowMs()),
    http: {
      id: messageTextOfHead(request.header("x-request-id") ?? ""),
      method: request.method,
      headers: Object.fromEntries(headers),
      path,
      host: request.authority,
      scheme: request.scheme,
      size: BigInt(/^\d{1,18}$/.exec(request.header("content-length") ?? "")?.[0] ?? -1),
      ...(body === undefined
        ? {}
        : options.packsBodyAsBytes
          ? { rawBody: body.bytes }
          : { body: body.bytes.toString() }),
    },
  };
}

type Json = Record<string, never>;

function metadataOf(metadata: ReadonlyMap<string, unknown>, namespaces: readonly string[]): Record<string, Json> {
  const out: Record<string, Json> = {};
  for (const name of namespaces) {
    const named = metadata.get(name);
    // Metadata that filters set consists of JSON values.
    if (typeof named === "object" && named !== null) out[name] = named as Json;
  }
  return out;
}

function addressOf({ address, port }: SocketAddress): {
  address: { case: "socketAddress"; value: { address: string; portSpecifier: { case: "portValue"; value: number } } };
} {
  return { address: { case: "socketAddress", value: { address, portSpecifier: { case: "portValue", value: port } } } };
}

function verdictOf(response: CheckResponse): AuthorizationAnswer {
  const metadata = response.dynamicMetadata;
  const { httpResponse } = response;
  if ((response.status?.code ?? 0) === 0) {
    const ok = httpResponse.case === "okResponse" ? httpResponse.value : undefined;
    return {
      kind: "allowed",
      set: (ok?.headers ?? []).map(editOf).filter(({ name, value }) => isField(name.replace(/^:/, ""), value)),
      remove: (ok?.headersToRemove ?? []).map((name) => name.toLowerCase()),
      ...queryEditsOf(ok),
      answerFields: fieldsOf(ok?.responseHeadersToAdd ?? []),
      metadata,
    };
  }
  const refusal = httpResponse.case === "deniedResponse" ? httpResponse.value : undefined;
  return {
    kind: "denied",
    status: statusForClient(refusal?.status?.code),
    body: refusal?.body ?? "",
    fields: fieldsOf(refusal?.headers ?? []),
    metadata,
  };
}

function queryEditsOf(ok: OkHttpResponse | undefined): { readonly query?: QueryEdits } {
  const set = (ok?.queryParametersToSet ?? []).map(({ key, value }: QueryParameter) => [key, value] as const);
  const remove = ok?.queryParametersToRemove ?? [];
  return set.length === 0 && remove.length === 0 ? {} : { query: { set, remove } };
}

function editOf(option: HeaderValueOption): FieldEdit {
  const [name, value] = fieldOf(option);
  // The default of this field differs from the default in routes: a value replaces an existing one unless the service
  // sets `append`.
  return { name, value, append: option.append ?? false };
}

import type { ConnectionInfo, DownstreamTls } from "../terms/connection-info.ts";
import type { RequestView } from "../routing/request-view.ts";
import { forwardTo, route } from "./harness.ts";
import { MessageHead } from "../../wire/http1/index.ts";
import type { FilterRequest } from "../filters/http-filter.ts";

export function connectionFrom(address: string, more: Partial<ConnectionInfo> = {}): ConnectionInfo {
  return {
    remote: { address, port: 40_000 },
    local: { address: "10.1.0.9", port: 8080 },
    tls: undefined,
    peer: undefined,
    ...more,
  };
}

export function mutualTls(peerIdentity: string, more: Partial<DownstreamTls> = {}): DownstreamTls {
  return {
    verified: true,
    peerIdentity,
    localIdentity: "spiffe://cluster.local/ns/a/sa/server",
    peerCertificate: () => "",
    peerSubject: () => "",
    peerUris: () => (peerIdentity === "" ? [] : [peerIdentity]),
    peerDnsNames: () => [],
    peerCertificateHash: () => "",
    serverName: "",
    alpnProtocol: undefined,
    ...more,
  };
}

export interface TestRequest extends FilterRequest {
  readonly fields: Map<string, string>;
  readonly answerFields: (readonly [name: string, value: string])[];
  routesChosen: number;
}

interface TestRequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly repeated?: Readonly<Record<string, readonly string[]>>;
  readonly connection?: ConnectionInfo;
  readonly clientAddress?: string;
  readonly filterConfigs?: ReadonlyMap<string, object>;
  readonly body?: Buffer;
}

/** A request as filters get it. `target` is the path with its query. */
export function testRequest(target = "/", options: TestRequestOptions & Partial<RequestView> = {}): TestRequest {
  const connection = options.connection ?? connectionFrom("10.0.0.1");
  const joined = Object.entries(options.repeated ?? {}).map(([name, values]) => [name, values.join(",")] as const);
  const fields = new Map([...Object.entries(options.headers ?? {}), ...joined]);
  const [path = "/", query = ""] = target.replace(/^https?:\/\/[^/?]*/, "").split("?");
  const request: TestRequest = {
    head: new MessageHead(),
    method: options.method ?? "GET",
    path,
    query,
    authority: options.authority ?? "a.test",
    scheme: options.scheme ?? "http",
    connection,
    clientAddress: options.clientAddress ?? connection.remote.address,
    route: route(forwardTo("c"), { filterConfigs: options.filterConfigs ?? new Map() }),
    cluster: "c",
    header: (name) => fields.get(name),
    isAsReceived: () => false,
    values: (name) => options.repeated?.[name] ?? (fields.has(name) ? [fields.get(name) ?? ""] : []),
    setHeader: (name, value) => void fields.set(name, typeof value === "string" ? value : value.join(",")),
    removeHeader: (name) => void fields.delete(name),
    headers: () => fields,
    addResponseHeader: (name, value) => void request.answerFields.push([name, value]),
    hasBody: options.body !== undefined,
    bodyStart: (limit) =>
      Promise.resolve({
        bytes: (options.body ?? Buffer.alloc(0)).subarray(0, limit),
        isWhole: (options.body?.length ?? 0) <= limit,
      }),
    bodyHeld: () => undefined,
    replaceBody: () => undefined,
    openLength: () => {
      fields.delete("content-length");
      fields.set("transfer-encoding", "chunked");
    },
    trailers: undefined,
    setTrailers: () => undefined,
    protocol: "HTTP/1.1",
    translateGrpcWeb: () => undefined,
    prefer: () => undefined,
    markHealthCheck: () => undefined,
    clearRoute: () => void (request.routesChosen += 1),
    metadata: new Map(),
    valueContext: (response) => ({
      request,
      connection,
      downstreamPeer: connection.peer,
      clientAddress: () => request.clientAddress,
      startedMs: 0,
      routeName: request.route?.name ?? "",
      cluster: "",
      upstreamHost: "",
      status: 0,
      flags: () => "",
      response,
      metadata: request.metadata,
    }),
    fields,
    answerFields: [],
    routesChosen: 0,
  };
  return request;
}

export const neverAborted = (): AbortSignal => new AbortController().signal;

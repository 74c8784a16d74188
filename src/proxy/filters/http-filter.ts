import type { Any } from "@bufbuild/protobuf/wkt";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import { responseFlags, type ResponseFlag } from "../terms/response-flags.ts";
import type { MutationContext } from "../routing/header-mutation.ts";
import type { RequestView } from "../routing/request-view.ts";
import type { Route } from "../routing/route.ts";
import type { PreferredEndpoint } from "../upstream/preferred-endpoint.ts";

/**
 * A request as filters see it. Its route is chosen before the first filter runs, and its upstream after the last one.
 */
export interface FilterRequest extends RequestView {
  readonly connection: ConnectionInfo;
  /**
   * The client's address without port: the one in `x-forwarded-for` if the listener trusts that header, otherwise the
   * peer's.
   */
  readonly clientAddress: string;
  /** The route that was chosen last. Undefined if none matched. */
  readonly route: Route | undefined;
  /**
   * The name of the route's cluster. If the route chooses by weight, the first read makes the choice for the whole
   * request.
   */
  readonly cluster: string | undefined;
  /** A header as later filters and the upstream see it, after the edits of earlier filters. Names are in lower case. */
  header(name: string): string | undefined;
  /**
   * The values of a header, one for each of its fields, after the edits of earlier filters. Unlike {@link header}, it
   * keeps several fields apart from one field whose value contains commas.
   */
  values(name: string): readonly string[];
  /**
   * Whether the fields of that name are those that the client sent: no filter has edited them, and the proxy does not
   * replace them by its own value.
   */
  isAsReceived(name: string): boolean;
  /** Replaces all fields of that name, with one field for each value. */
  setHeader(name: string, value: string | readonly string[]): void;
  removeHeader(name: string): void;
  /** Names (lower case) and values of all fields, edits included. */
  headers(): Iterable<readonly [name: string, value: string]>;
  /** Adds a header to the response, whoever sends it. */
  addResponseHeader(name: string, value: string): void;
  /** Whether the request may have a body. An upgrade has none. */
  readonly hasBody: boolean;
  /**
   * Reads the beginning of the body, at most `limit` bytes. The upstream still gets the whole body. Never settles if
   * the client leaves.
   */
  bodyStart(limit: number): Promise<RequestBodyStart>;
  /**
   * Tells the exchange how many more (or fewer) bytes of bodies the filter keeps. A filter must call it for each
   * change. If all exchanges together hold too much, this exchange may end.
   */
  bodyHeld(difference: number): void;
  /**
   * Replaces the body for the upstream. Allowed only if {@link bodyStart} has returned the whole body, or if the
   * request has no body.
   */
  replaceBody(bytes: Buffer): void;
  /**
   * Announces that the body's length will change, because this filter or the exchange on its behalf changes the body.
   * The body then goes upstream without an announced length, even if another filter replaces it.
   */
  openLength(): void;
  /** The trailers that arrived with the whole body, as alternating names and values. Undefined if there are none. */
  readonly trailers: readonly string[] | undefined;
  setTrailers(fields: readonly string[]): void;
  readonly protocol: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";
  /** Makes the exchange translate between the client, which speaks gRPC-Web, and the upstream, which speaks gRPC. */
  translateGrpcWeb(form: GrpcWebForm): void;
  /** Sets the endpoint for the first attempt. Ignored if the cluster does not have this endpoint or cannot use it. */
  prefer(endpoint: PreferredEndpoint): void;
  /** Keeps the request out of traces, and out of the access logs whose filter excludes health checks. */
  markHealthCheck(): void;
  /** Chooses the route again, after edits of values that routes match. */
  clearRoute(): void;
  /**
   * Metadata for other filters and the access log, keyed by the name of the filter that set it (Envoy's dynamic
   * metadata).
   */
  readonly metadata: Map<string, unknown>;
  /**
   * The facts to which variables in header values may refer at this point. `response` gives the headers of the
   * response, once there is one.
   */
  valueContext(response: MutationContext["response"]): MutationContext;
}

/** Whether each side of a gRPC-Web exchange sends base64 text instead of bytes. */
export interface GrpcWebForm {
  readonly requestIsText: boolean;
  readonly answerIsText: boolean;
}

export interface RequestBodyStart {
  readonly bytes: Buffer;
  readonly isWhole: boolean;
}

/**
 * A response on its way to the client, while a filter holds its head. It comes from the upstream or from the proxy
 * itself. It passes the filters from the last one to the first.
 */
export interface FilterResponse {
  readonly request: FilterRequest;
  status: number;
  /** Names are in lower case. */
  fields: readonly (readonly [name: string, value: string])[];
  /** Alternating names and values. They are known only after the whole body. */
  trailers: readonly string[] | undefined;
  /** Like {@link FilterRequest.bodyStart}, for the body of the response. */
  bodyStart(limit: number): Promise<RequestBodyStart>;
  replaceBody(bytes: Buffer): void;
}

/** The proxy's own answer in place of the upstream's. */
export interface LocalReply {
  readonly status: number;
  readonly body: string | Buffer;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly flag: ResponseFlag;
  /** Envoy's `response_code_details`. */
  readonly details: string;
  /** The status for a gRPC client. If absent, it follows from the HTTP status. */
  readonly grpcStatus?: number;
}

/** The reply to a request whose body is larger than a filter may read. */
export const bodyTooLarge: LocalReply = {
  status: 413,
  body: "Payload Too Large",
  headers: [],
  flag: responseFlags.none,
  details: "request_payload_too_large",
};

/** A filter whose configuration is a resource of its own (Envoy's ECDS). */
export interface Discovery {
  readonly resource: string;
  /** Whether a listener with the filter waits for the first configuration before it accepts connections. */
  readonly awaited: boolean;
  /**
   * Checks a configuration. Throws if it cannot be served. The returned function puts it in force. That function
   * returns a promise if the filter must start first.
   */
  prepare(config: Any): () => Promise<unknown> | undefined;
  /**
   * Reports that the latest configuration cannot be served. The previous one stays in force, and a listener that waits
   * for the first one stops waiting.
   */
  refused(): void;
  /** Reports that the resource was removed. Returns false if its last configuration stays in force. */
  retract(): boolean;
}

/**
 * One step that requests pass, in the order of the configuration. All requests of a listener share the filter object,
 * so the object must not hold the state of one request.
 */
export interface HttpFilter {
  /**
   * The configured name, such as `envoy.filters.http.rbac`. A route's configuration for the filter has the same name.
   */
  readonly name: string;
  /** Whether the filter acts only on routes that configure it. */
  readonly idle?: boolean;
  /** The filter's own discovery. Absent if the listener contains the whole configuration. */
  readonly discovery?: Discovery | undefined;
  /** Resolves when the filter can process requests. Undefined if it already can. Requests that arrive earlier wait. */
  starting?(): Promise<unknown> | undefined;
  /**
   * Processes the head of a request. If it returns undefined, the request continues. If it returns a promise, the
   * request waits for the result. `signal` is aborted when the client leaves. A rejection becomes a response with
   * status 500.
   */
  onRequest(
    request: FilterRequest,
    signal: () => AbortSignal,
  ): LocalReply | undefined | Promise<LocalReply | undefined>;
  /**
   * Returns the filter's part in the rest of the exchange. Called after the request's head has passed all filters, or
   * after one of the filters has answered it, even a filter before this one.
   */
  stream?(request: FilterRequest, signal: () => AbortSignal): StreamFilter | undefined;
}

export type Later<Value> = Value | Promise<Value>;

/** The outcome of one part of a message: the part continues, a response replaces the message, or the exchange ends. */
export type StreamOutcome<Part> =
  | { readonly kind: "pass"; readonly part: Part }
  | { readonly kind: "reply"; readonly reply: LocalReply }
  | { readonly kind: "abort" };

/** The end of a message: the rest of its body, and its trailers (alternating names and values). */
export interface StreamTail {
  readonly body: Buffer;
  readonly trailers: readonly string[];
}

/**
 * A filter's part in one exchange after the request's head. It may hold, change, replace and end the following parts. A
 * part for which the filter has no method passes unchanged. Parts come one after another: the next one waits for the
 * outcome of the previous one. A filter may keep a part of a body and return it with a later part. Before the outcome
 * of the last part, the filter must have returned everything that it kept.
 */
export interface StreamFilter {
  requestBody?(bytes: Buffer, end: boolean): Later<StreamOutcome<Buffer>>;
  requestTrailers?(trailers: readonly string[]): Later<StreamOutcome<StreamTail>>;
  /**
   * Processes the head of a response. `end` says whether the response has no body. The filter may change the response
   * until it lets the head continue.
   */
  responseHead?(response: FilterResponse, end: boolean): Later<StreamOutcome<undefined>>;
  responseBody?(bytes: Buffer, end: boolean): Later<StreamOutcome<Buffer>>;
  responseTrailers?(trailers: readonly string[]): Later<StreamOutcome<StreamTail>>;
}

/** The values of a response's fields with that name (lower case), joined by commas. Undefined if there is none. */
export function responseValue({ fields }: Pick<FilterResponse, "fields">, wanted: string): string | undefined {
  const found = fields.filter(([name]) => name === wanted);
  return found.length === 0 ? undefined : found.map(([, value]) => value).join(",");
}

/** The outcome that lets a part continue without replacing it. */
export const passed: StreamOutcome<undefined> = { kind: "pass", part: undefined };

import type { ConnectionInfo } from "../connection-info.ts";
import type { ResponseFlag } from "../http/response-flags.ts";
import type { RequestView } from "../routing/request-view.ts";
import type { Route } from "../routing/route.ts";

/** A request on its way from its route to its upstream. It holds until the request is answered or goes upstream. */
export interface FilterRequest extends RequestView {
  readonly connection: ConnectionInfo;
  /** The client's address without port: what `x-forwarded-for` says as far as the listener trusts it, else the peer's. */
  readonly clientAddress: string;
  /** The route as chosen last; undefined when none matched. */
  readonly route: Route | undefined;
  /** A field as later filters and the upstream see it: edits of earlier filters count. Names are in lower case. */
  header(name: string): string | undefined;
  /** Each value of a field that may come several times, edits included: for who must not take a list for one value. */
  values(name: string): readonly string[];
  /** Takes the place of all fields of that name. */
  setHeader(name: string, value: string): void;
  removeHeader(name: string): void;
  /** Names (lower case) and values of all fields, edits included. */
  headers(): Iterable<readonly [name: string, value: string]>;
  /** Adds a field to the answer, whoever gives it. */
  addResponseHeader(name: string, value: string): void;
  /** It may have a body; a switch of protocols has none. */
  readonly hasBody: boolean;
  /** Reads the body's beginning, up to so many bytes; it goes upstream whole in the end. Settles never when the client leaves. */
  bodyStart(limit: number): Promise<RequestBodyStart>;
  /** The client speaks gRPC-Web, the upstream gRPC. */
  translateGrpcWeb(form: GrpcWebForm): void;
  /** Chooses the route anew, after edits that routes may look at. */
  clearRoute(): void;
  /** What filters tell each other and the log, by the name of the filter that said it (Envoy's dynamic metadata). */
  readonly metadata: Map<string, unknown>;
}

/** Which sides of a gRPC-Web exchange are text. */
export interface GrpcWebForm {
  readonly requestIsText: boolean;
  readonly answerIsText: boolean;
}

/** The first bytes of a request's body, without framing. */
export interface RequestBodyStart {
  readonly bytes: Buffer;
  /** That is all of it. */
  readonly whole: boolean;
}

/** The proxy's own answer in place of the upstream's. */
export interface LocalReply {
  readonly status: number;
  readonly body: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly flag: ResponseFlag;
  /** Envoy's `response_code_details`. */
  readonly details: string;
  /** What a gRPC client is told, instead of what the HTTP status stands for. */
  readonly grpcStatus?: number;
}

/**
 * One step that requests pass, in the order of the configuration. Filters are shared by all requests of a listener and keep
 * no state of a request.
 */
export interface HttpFilter {
  /** As configured: `envoy.filters.http.rbac`; a route's configuration for the filter is under this name. */
  readonly name: string;
  /** It has something to do only where a route configures it. */
  readonly idle?: boolean;
  /**
   * Undefined: the request goes on. A promise holds the request until it settles; `signal` aborts it when the client has
   * gone. A rejection is answered by 500.
   */
  onRequest(
    request: FilterRequest,
    signal: () => AbortSignal,
  ): LocalReply | undefined | Promise<LocalReply | undefined>;
}

import type { MessageHead } from "../../../wire/http1/index.ts";
import { peerMetadataHeader, peerMetadataIdHeader } from "../../peers/peer-metadata.ts";
import type { RandomUuid } from "../../terms/random-id.ts";
import type { ClientCertificateField } from "./client-certificate.ts";
import type { HttpConnectionConfig } from "../http-connection-config.ts";

/** What the proxy knows about a request's client, and what it tells the upstream about the request. */
export interface EdgeFacts {
  /** The client's head, including the edits of filters. */
  readonly head: MessageHead;
  /** Whether the client is internal. Then the headers in which it describes itself are kept. */
  readonly internalPeer: boolean;
  /** The client's address: the peer's address, or the address that trusted proxies report in `x-forwarded-for`. */
  readonly externalAddress: string;
  readonly scheme: "http" | "https";
  /** The value of `x-forwarded-for` for the upstream: the client's, with the address of this hop. */
  readonly forwardedFor: string;
  /**
   * The port that the client used. Undefined if the upstream does not get a port, or gets the one in the client's own
   * header.
   */
  readonly forwardedPort: string | undefined;
  readonly clientCertificate: ClientCertificateField;
  /** Whether the proxy gives the request a new id. Reading this costs less than making the text of the id. */
  readonly requestIdIsNew: boolean;
  /**
   * The new id that the proxy gives the request. Undefined if the request keeps the client's id, or goes upstream
   * without one.
   */
  readonly newRequestId: string | undefined;
  /** The id of {@link newRequestId}, if it is random and can be written as bytes. */
  readonly randomId: RandomUuid | undefined;
}

export const forwardedPortHeader = "x-forwarded-port";

/** Stands for a value that the proxy does not have itself, so that the client's own header is kept. */
export const fromClient = Symbol("fromClient");

/**
 * The value of a header in which the proxy itself describes the client. A text replaces the client's header, and
 * undefined means that the request has no such header. `name` is in lower case.
 *
 * As in Envoy, the value applies before the route is chosen and before the filters run. Otherwise they could trust a
 * value that the client sent.
 */
export function edgeField(
  name: string,
  facts: EdgeFacts,
  config: HttpConnectionConfig,
): string | undefined | typeof fromClient {
  switch (name) {
    case "x-forwarded-for":
      return config.appendForwardedFor ? facts.forwardedFor : fromClient;
    case "x-forwarded-proto":
      return trustsForwardedProto(config) && facts.head.find(name) >= 0 ? fromClient : facts.scheme;
    case forwardedPortHeader:
      return facts.forwardedPort ?? fromClient;
    case "x-forwarded-client-cert": {
      const { clientCertificate } = facts;
      return clientCertificate === "keep"
        ? fromClient
        : clientCertificate === "drop"
          ? undefined
          : clientCertificate.value;
    }
    case "x-request-id":
      return facts.newRequestId ?? fromClient;
    case "x-envoy-internal":
      return config.useRemoteAddress && facts.internalPeer ? "true" : undefined;
    case "x-envoy-external-address":
      if (config.useRemoteAddress) return facts.internalPeer ? undefined : facts.externalAddress;
      break;
    case peerMetadataHeader:
    case peerMetadataIdHeader:
      return config.peerMetadata.readFromClient ? undefined : fromClient;
  }
  return !name.startsWith(envoyPrefix) || keepsEnvoyField(name, facts.internalPeer, config) ? fromClient : undefined;
}

const envoyPrefix = "x-envoy-";

/** Headers for which the proxy may have a value even if the client sent none. */
export const edgeNames: readonly string[] = [
  "x-forwarded-for",
  "x-forwarded-proto",
  forwardedPortHeader,
  "x-forwarded-client-cert",
  "x-request-id",
  "x-envoy-internal",
  "x-envoy-external-address",
];

/**
 * Whether {@link edgeField} may return something else than the client's value. This check costs less than {@link
 * edgeField}.
 */
export function mayDescribeClient(name: string): boolean {
  return name.startsWith(envoyPrefix) || edgeNames.includes(name);
}

/**
 * Whether the client's `x-forwarded-proto` is trusted: a client behind a trusted proxy may say by which scheme it
 * reached that proxy.
 */
export function trustsForwardedProto(config: HttpConnectionConfig): boolean {
  return !config.useRemoteAddress || config.trustedHops > 0;
}

const replacedEnvoyFields: ReadonlySet<string> = new Set([
  "x-envoy-internal",
  "x-envoy-external-address",
  "x-envoy-attempt-count",
  "x-envoy-original-path",
  "x-envoy-expected-rq-timeout-ms",
]);

/**
 * Headers that only internal clients may set. At an edge, all headers with the prefix `x-envoy-` are removed from other
 * clients' requests.
 */
const ofInternalClients: ReadonlySet<string> = new Set([
  "x-envoy-internal",
  "x-envoy-retry-on",
  "x-envoy-retry-grpc-on",
  "x-envoy-max-retries",
  "x-envoy-retriable-status-codes",
  "x-envoy-retriable-header-names",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-upstream-rq-timeout-ms",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-upstream-rq-timeout-alt-response",
  "x-envoy-upstream-stream-duration-ms",
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-force-trace",
  "x-envoy-ip-tags",
  "x-envoy-original-url",
]);

/** Whether a header that begins with `x-envoy-` stays as the client sent it. */
function keepsEnvoyField(name: string, internalPeer: boolean, config: HttpConnectionConfig): boolean {
  return internalPeer ? !replacedEnvoyFields.has(name) : !config.useRemoteAddress && !ofInternalClients.has(name);
}

import { describeError, SerinError, toSerinError, type Logger } from "../../base/index.ts";
import { discoveryMethods } from "../../wire/xds/index.ts";
import type { Caller, ProvenAccount } from "../ca/index.ts";
import type { DiscoveryClient } from "./connected-client.ts";
import type { DiscoveryServer } from "./discovery-server.ts";
import type { ResponseSink } from "./discovery-stream.ts";
import type { DiscoveryProtocol } from "./read-request.ts";
import { grpcStatus, type GrpcCall, type GrpcMethod, type GrpcStatus } from "./grpc/index.ts";
import type { ProxyIdentity } from "./proxy-identity.ts";

export interface GrpcDiscoveryOptions {
  readonly discovery: DiscoveryServer;
  /** Authenticates a caller. Undefined on the plaintext port, which authenticates nobody. */
  readonly authenticate: ((call: GrpcCall) => Promise<Caller>) | undefined;
  readonly log: Logger;
}

/**
 * The gRPC methods of discovery, one for each protocol. They only pass bytes: the discovery server decodes requests and
 * encodes responses.
 */
export function discoveryService(
  options: GrpcDiscoveryOptions,
): readonly (readonly [path: string, method: GrpcMethod])[] {
  return [
    [discoveryMethods.deltaAds, (call) => void serveStream(call, "delta", options)],
    [discoveryMethods.stateOfTheWorldAds, (call) => void serveStream(call, "state-of-the-world", options)],
  ];
}

/** Serves a stream. Until the caller is authenticated, its messages wait in the call, within its window. */
async function serveStream(call: GrpcCall, protocol: DiscoveryProtocol, options: GrpcDiscoveryOptions): Promise<void> {
  const { discovery, authenticate, log } = options;
  let client: DiscoveryClient | undefined;
  const fail = (error: unknown): void => {
    const known = toSerinError(error);
    log.warn("a discovery stream was refused", { error: describeError(known) });
    call.end(statusOf(known), known.message);
  };
  try {
    // If nobody has to be authenticated, the proxy is served in the turn in which it connected.
    const caller = authenticate === undefined ? undefined : await authenticate(call);
    if (call.isClosed) return;
    const sink: ResponseSink = {
      peer: call.peer.address,
      write: (parts) => call.write(parts),
      refuse: fail,
      afterSilence: (clock, ms, run) => call.afterSilence(clock, ms, run),
    };
    const opened = discovery.connect(protocol, sink, (proxy) => authorize(proxy, caller));
    client = opened;
    call.start({
      message: (request) => {
        try {
          opened.receive(request);
        } catch (error) {
          fail(error);
        }
      },
      ended: () => call.end(),
      drained: () => opened.drained(),
      stopping: () => call.end(),
      failed: fail,
      closed: () => opened.close(),
    });
  } catch (error) {
    client?.close();
    fail(error);
  }
}

/**
 * The account that the caller has proven, or false if callers are not authenticated. Throws if the proxy claims to be
 * another one, because a proxy gets only the configuration of its own account. If its node names no account, only the
 * namespace must match.
 */
function authorize(proxy: ProxyIdentity, caller: Caller | undefined): false | ProvenAccount {
  if (caller === undefined) return false;
  const { namespace, serviceAccount } = proxy;
  const isItself =
    caller.namespace === namespace && (serviceAccount === "" || caller.serviceAccount === serviceAccount);
  if (isItself) return caller;
  throw new SerinError(
    "user",
    "wrong-identity",
    `the proxy ${proxy.id} claims to be ${namespace}/${serviceAccount}, but its credentials are for ${caller.namespace}/${caller.serviceAccount}`,
  );
}

export function statusOf(error: SerinError): GrpcStatus {
  switch (error.code) {
    case "unauthenticated":
      return grpcStatus.unauthenticated;
    case "wrong-identity":
    case "not-allowed":
      return grpcStatus.permissionDenied;
    case "request-too-long":
      return grpcStatus.resourceExhausted;
    default:
      if (error.kind === "user") return grpcStatus.invalidArgument;
      return error.kind === "transient" ? grpcStatus.unavailable : grpcStatus.internal;
  }
}

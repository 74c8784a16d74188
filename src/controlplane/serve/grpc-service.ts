import * as grpc from "@grpc/grpc-js";
import { describeError, SerinError, toSerinError, type Logger } from "../../base/index.ts";
import { discoveryMethods } from "../../wire/xds/index.ts";
import type { Caller } from "../ca/index.ts";
import type { DiscoveryProtocol, DiscoveryServer } from "./discovery-server.ts";
import { grpcSink, grpcSource } from "./grpc-stream.ts";
import type { ProxyIdentity } from "./proxy-identity.ts";

const bytes = (value: Buffer): Buffer => value;
const streaming = { requestStream: true, responseStream: true, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes } as const;
const service = {
  delta: { path: discoveryMethods.deltaAds, ...streaming },
  stateOfTheWorld: { path: discoveryMethods.stateOfTheWorldAds, ...streaming },
};

export interface GrpcDiscoveryOptions {
  readonly discovery: DiscoveryServer;
  /** Undefined on the plaintext port, where nobody is asked who they are. */
  readonly authenticate: ((call: grpc.ServerDuplexStream<Buffer, Buffer>) => Promise<Caller>) | undefined;
  readonly log: Logger;
  /** A longer request ends its stream. */
  readonly maxRequestBytes: number;
}

/** Adds both discovery services, with bytes in and bytes out: requests are parsed and responses encoded by the discovery server. */
export function addDiscoveryService(server: grpc.Server, options: GrpcDiscoveryOptions): void {
  server.addService(service, {
    delta: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => void serveStream(call, "delta", options),
    stateOfTheWorld: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => void serveStream(call, "state-of-the-world", options),
  });
}

async function serveStream(call: grpc.ServerDuplexStream<Buffer, Buffer>, protocol: DiscoveryProtocol, options: GrpcDiscoveryOptions): Promise<void> {
  const { discovery, authenticate, log, maxRequestBytes } = options;
  let ended = false;
  let client: ReturnType<DiscoveryServer["connect"]> | undefined;
  const finish = (): void => {
    ended = true;
    client?.close();
  };
  const fail = (error: unknown): void => {
    const known = toSerinError(error);
    log.warn("a discovery stream was refused", { error: describeError(known) });
    finish();
    call.emit("error", { code: statusOf(known), details: known.message });
  };
  call.on("end", () => {
    finish();
    call.end();
  });
  call.on("error", finish);
  call.on("cancelled", finish);
  call.on("close", finish);
  try {
    const caller = await authenticate?.(call);
    if (ended) return;
    const sink = grpcSink(call, () => client?.drained());
    const opened = discovery.connect(protocol, { write: (parts) => sink.write(parts), refuse: fail }, (proxy) => authorize(proxy, caller));
    client = opened;
    const take = (request: Buffer): void => {
      if (ended) return;
      try {
        opened.receive(request);
      } catch (error) {
        fail(error);
      }
    };
    // Not before: what somebody sends whom nobody knows yet waits in the stream's own window.
    grpcSource(call, maxRequestBytes, take, fail);
  } catch (error) {
    fail(error);
  }
}

/** A proxy gets the configuration of the account that its credentials are of, and of no other; one that names no account that of the namespace. */
function authorize(proxy: ProxyIdentity, caller: Caller | undefined): boolean {
  if (caller === undefined) return false;
  const { namespace, serviceAccount } = proxy;
  const isItself = caller.namespace === namespace && (serviceAccount === "" || caller.serviceAccount === serviceAccount);
  if (isItself) return true;
  throw new SerinError("user", "wrong-identity", `the proxy ${proxy.id} says that it is of ${namespace}/${serviceAccount}, its credentials are of ${caller.namespace}/${caller.serviceAccount}`);
}

/** The gRPC status of an error of ours. */
export function statusOf(error: SerinError): grpc.status {
  switch (error.code) {
    case "unauthenticated":
      return grpc.status.UNAUTHENTICATED;
    case "wrong-identity":
    case "not-allowed":
      return grpc.status.PERMISSION_DENIED;
    case "request-too-long":
      return grpc.status.RESOURCE_EXHAUSTED;
    default:
      if (error.kind === "user") return grpc.status.INVALID_ARGUMENT;
      return error.kind === "transient" ? grpc.status.UNAVAILABLE : grpc.status.INTERNAL;
  }
}

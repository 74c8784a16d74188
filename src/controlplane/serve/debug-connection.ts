import { toSerinError, userError } from "../../base/index.ts";
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "../../wire/discovery/index.ts";
import { debugType } from "../../wire/xds/index.ts";
import type { ResponseSink } from "./discovery-stream.ts";
import type { ProxyIdentity } from "./proxy-identity.ts";
import { decodeRequest, type DiscoveryProtocol } from "./read-request.ts";

const maxDebugNonces = 16;

/** A request of a type below `istio.io/debug`. It gets one answer and begins no subscription. */
export interface DebugRequest {
  readonly protocol: DiscoveryProtocol;
  readonly typeUrl: string;
  readonly names: readonly string[];
  readonly nonce: string;
}

export interface DebugConnection {
  /** Whether the bytes may be a debug request. False if nobody answers debug requests. */
  isFor(bytes: Uint8Array): boolean;
  /** Returns false if the request is of another kind. */
  take(proxy: ProxyIdentity, request: DeltaDiscoveryRequest | DiscoveryRequest): boolean;
  drained(): void;
  close(): void;
}

/**
 * Answers the debug requests of a connection one by one. A client that sends more before it has read an answer is
 * disconnected.
 */
export function debugConnection(
  answerOf: ((proxy: ProxyIdentity, request: DebugRequest) => Promise<Buffer>) | undefined,
  protocol: DiscoveryProtocol,
  sink: ResponseSink,
): DebugConnection {
  let [isBusy, isWritable, isClosed, count] = [false, true, false, 0];
  const nonces = new Set<string>();
  const answer = async (
    ask: NonNullable<typeof answerOf>,
    proxy: ProxyIdentity,
    typeUrl: string,
    names: readonly string[],
  ): Promise<void> => {
    count += 1;
    const nonce = `debug-${count}`;
    // An acknowledgement of an answer is not a request. It is recognized by the nonce of one of the last answers.
    if (nonces.size >= maxDebugNonces) nonces.delete(nonces.keys().next().value ?? "");
    nonces.add(nonce);
    const bytes = await ask(proxy, { protocol, typeUrl, names, nonce });
    if (!isClosed) isWritable = sink.write([bytes]);
  };
  return {
    isFor: (bytes) =>
      answerOf !== undefined && mentionsDebug(bytes) && isDebugType(decodeRequest(protocol, bytes).typeUrl),
    take: (proxy, request) => {
      const { typeUrl } = request;
      if (answerOf === undefined || !isDebugType(typeUrl)) return false;
      if (nonces.has(request.responseNonce)) return true;
      if (isBusy || !isWritable)
        throw userError("too-many-requests", "a debug request must wait for the answer to the previous one");
      isBusy = true;
      const names =
        request.$typeName === "envoy.service.discovery.v3.DeltaDiscoveryRequest"
          ? request.resourceNamesSubscribe
          : request.resourceNames;
      void answer(answerOf, proxy, typeUrl, names)
        .catch((error: unknown) => (isClosed ? undefined : sink.refuse?.(toSerinError(error))))
        .finally(() => (isBusy = false));
      return true;
    },
    drained: () => (isWritable = true),
    close: () => (isClosed = true),
  };
}

/** Whether a request may be a debug request. It may be another one, but this check costs less than decoding it. */
function mentionsDebug(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(debugType);
}

function isDebugType(typeUrl: string): boolean {
  return typeUrl === debugType || typeUrl.startsWith(`${debugType}/`);
}

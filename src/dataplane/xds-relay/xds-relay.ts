import {
  Server,
  ServerCredentials,
  status,
  type Client,
  type ClientDuplexStream,
  type ServerDuplexStream,
} from "@grpc/grpc-js";
import { messageOf, systemClock, systemRandom, transientError, type Logger } from "../../base/index.ts";
import { callMetadata, connectChannel, type ControlPlaneEndpoint } from "../grpc-channel.ts";

const service = "/envoy.service.discovery.v3.AggregatedDiscoveryService";
const methods = ["StreamAggregatedResources", "DeltaAggregatedResources"] as const;

/** The maximum number of streams. A process has one stream for each of its xDS clients. */
const maxStreams = 100;
/** The maximum size of a message in bytes in either direction, as in the clients of the data planes. */
const maxMessageBytes = 256 * 1_048_576;

/** How long the connection for a stream may take. After that the stream fails, and the client opens another one. */
const connectTimeoutMs = 10_000;

export interface XdsRelayOptions {
  readonly endpoint: ControlPlaneEndpoint;
  /** A gRPC address to listen on, such as `unix:/etc/istio/proxy/XDS`. */
  readonly address: string;
  readonly log: Logger;
}

const plain = (bytes: Buffer): Buffer => bytes;

type Downstream = ServerDuplexStream<Buffer, Buffer>;
type Upstream = ClientDuplexStream<Buffer, Buffer>;

/**
 * A gRPC server without TLS that forwards each discovery stream to the control plane without decoding it, with the
 * pod's credentials. Its clients have no credentials. When the control plane's stream ends, the client's stream ends
 * too, and the client connects again.
 */
export class XdsRelay {
  readonly #options: XdsRelayOptions;
  readonly #server = new Server({
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": maxMessageBytes,
  });
  #streams = 0;

  constructor(options: XdsRelayOptions) {
    this.#options = options;
    for (const method of methods) {
      const path = `${service}/${method}`;
      const handler = (call: Downstream): void => void this.#relay(path, call);
      this.#server.register(path, handler, plain, plain, "bidi");
    }
  }

  get streams(): number {
    return this.#streams;
  }

  /**
   * Rejects with a transient error if the address cannot be bound, because an earlier process may still use the
   * address.
   */
  async listen(): Promise<void> {
    const { address } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(transientError("cannot-listen", `cannot listen on ${address}: ${messageOf(error)}`));
      });
    });
  }

  close(): void {
    this.#server.forceShutdown();
  }

  async #relay(path: string, call: Downstream): Promise<void> {
    if (this.#streams >= maxStreams) {
      call.emit("error", { code: status.RESOURCE_EXHAUSTED, details: `at most ${maxStreams} streams` });
      return;
    }
    this.#streams += 1;
    let client: Client | undefined;
    const left = new AbortController();
    call.on("cancelled", () => left.abort());
    try {
      const metadata = await callMetadata(this.#options.endpoint);
      client = await connectChannel(this.#options.endpoint, {
        timeoutMs: connectTimeoutMs,
        clock: systemClock,
        random: systemRandom,
        signal: left.signal,
      });
      await joined(call, client.makeBidiStreamRequest(path, plain, plain, metadata));
    } catch (error) {
      if (left.signal.aborted) return;
      this.#options.log.warn(`a discovery stream of this pod ended: ${messageOf(error)}`);
      call.emit("error", { code: status.UNAVAILABLE, details: messageOf(error) });
    } finally {
      client?.close();
      this.#streams -= 1;
    }
  }
}

/** Resolves when either side has ended. Rejects if the control plane's side failed. */
function joined(call: Downstream, upstream: Upstream): Promise<void> {
  return new Promise((resolve, reject) => {
    call.on("cancelled", () => {
      upstream.cancel();
      resolve();
    });
    upstream.on("error", (error) => (call.cancelled ? resolve() : reject(error)));
    // Do not end the client's stream after a failure: the client must get the failure from the `error` event.
    upstream.on("status", ({ code }) => {
      if (code === status.OK) call.end();
      resolve();
    });
    call.on("end", () => upstream.end());
    forward(call, upstream);
    forward(upstream, call);
  });
}

/** Does the same as `pipe`, whose types do not fit gRPC's streams. */
function forward(from: Downstream | Upstream, to: Downstream | Upstream): void {
  from.on("data", (bytes: Buffer) => {
    if (!to.write(bytes)) from.pause();
  });
  to.on("drain", () => from.resume());
}

import { create, fromBinary, toBinary, type JsonObject } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { transientError, onAbort } from "../../base/index.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../../wire/discovery/index.ts";
import { discoveryMethods, typeUrls } from "../../wire/xds/index.ts";
import type { ProxyResources } from "../compare/resources.ts";
import type { Json } from "../tree-diff.ts";
import type { LiveProxy } from "./live-proxies.ts";
import { extensionType, wordOf, type CachedResource, type ResourceCache } from "./resource-cache.ts";

export interface RecordOptions {
  /** The address of a control plane, which answers without TLS: `127.0.0.1:<port>`. */
  readonly target: string;
  readonly version: string;
  readonly cache: ResourceCache;
  readonly signal: AbortSignal;
}

const deadlineMs = 30_000;
const maxMessageBytes = 256 << 20;

/** Sends a proxy's requests to a control plane, and records the answers. Disconnects when all have arrived. */
export async function recordProxy(proxy: LiveProxy, options: RecordOptions): Promise<ProxyResources> {
  const client = new grpc.Client(options.target, grpc.credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.enable_http_proxy": 0,
  });
  try {
    const exchange =
      proxy.type === "ztunnel" ? new DeltaExchange(client, proxy, options) : new WholeExchange(client, proxy, options);
    return await exchange.run();
  } finally {
    client.close();
  }
}

const identity = (bytes: Buffer): Buffer => bytes;

/** One xDS stream, which lasts until every requested resource has arrived. */
abstract class Exchange {
  readonly resources = new Map<string, Map<string, Json>>();
  protected readonly options: RecordOptions;
  protected readonly proxy: LiveProxy;
  protected readonly stream: grpc.ClientDuplexStream<Buffer, Buffer>;
  protected readonly missing = new Set<string>();
  #first = true;

  constructor(client: grpc.Client, path: string, proxy: LiveProxy, options: RecordOptions) {
    this.proxy = proxy;
    this.options = options;
    this.stream = client.makeBidiStreamRequest(path, identity, identity, new grpc.Metadata());
  }

  async run(): Promise<ProxyResources> {
    const { signal, target } = this.options;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]);
    try {
      await new Promise<void>((resolve, reject) => {
        const fail = (error: unknown): void => reject(error instanceof Error ? error : new Error(String(error)));
        onAbort(limit, () => fail(this.#late(signal, target)));
        this.stream.on("error", (error) =>
          fail(
            transientError(
              "shadow-failed",
              `the control plane at ${target} ended the stream of ${this.proxy.name}: ${error.message}`,
              { cause: error },
            ),
          ),
        );
        this.stream.on("data", (bytes: Buffer) => {
          try {
            this.receive(bytes);
          } catch (error) {
            fail(error);
          }
          if (this.missing.size === 0) resolve();
        });
        this.begin();
      });
      return this.resources;
    } finally {
      this.stream.on("error", () => undefined);
      this.stream.cancel();
    }
  }

  #late(signal: AbortSignal, target: string): unknown {
    if (signal.aborted) return signal.reason;
    const words = [...this.missing].map(wordOf).join(", ");
    return transientError(
      "shadow-failed",
      `the control plane at ${target} did not send ${words} to ${this.proxy.name} within ${deadlineMs / 1000} s`,
    );
  }

  protected node(): {
    readonly node?: {
      readonly id: string;
      readonly cluster: string;
      readonly metadata: JsonObject;
      readonly userAgentName: string;
    };
  } {
    if (!this.#first) return {};
    this.#first = false;
    const metadata = { ...this.proxy.metadata, ISTIO_VERSION: this.options.version } as JsonObject;
    return { node: { id: this.proxy.nodeId, cluster: this.proxy.name, metadata, userAgentName: "serin-plan" } };
  }

  protected take(type: string, name: string, bytes: Uint8Array): CachedResource {
    const read = this.options.cache.read(type, bytes);
    this.ofType(type).set(name === "" ? read.name : name, read.resource);
    return read;
  }

  protected ofType(type: string): Map<string, Json> {
    const own = this.resources.get(wordOf(type)) ?? new Map<string, Json>();
    this.resources.set(wordOf(type), own);
    return own;
  }

  protected abstract begin(): void;
  protected abstract receive(bytes: Buffer): void;
}

/**
 * State-of-the-world xDS, which every control plane supports. It requests clusters and listeners first, then the
 * resources that these name.
 */
class WholeExchange extends Exchange {
  readonly #names = new Map<string, readonly string[]>();

  constructor(client: grpc.Client, proxy: LiveProxy, options: RecordOptions) {
    super(client, discoveryMethods.stateOfTheWorldAds, proxy, options);
  }

  protected begin(): void {
    const wildcards = [
      typeUrls.cluster,
      typeUrls.listener,
      ...(this.proxy.metadata["DNS_CAPTURE"] === "true" ? [typeUrls.nameTable] : []),
    ];
    for (const type of wildcards) this.missing.add(type);
    for (const type of wildcards) this.#request(type, [], "", "");
  }

  protected receive(bytes: Buffer): void {
    const { typeUrl, resources, versionInfo, nonce } = fromBinary(DiscoveryResponseSchema, bytes);
    this.#request(typeUrl, this.#names.get(typeUrl) ?? [], versionInfo, nonce);
    const read = resources.map(({ value }) => this.take(typeUrl, "", value));
    this.missing.delete(typeUrl);
    if (typeUrl === typeUrls.cluster)
      this.#ask(
        typeUrls.endpoint,
        read.flatMap(({ endpoints }) => endpoints),
      );
    if (typeUrl === typeUrls.listener) {
      this.#ask(
        typeUrls.route,
        read.flatMap(({ routes }) => routes),
      );
      this.#ask(
        extensionType,
        read.flatMap(({ extensions }) => extensions),
      );
    }
  }

  #ask(type: string, names: readonly string[]): void {
    const wanted = [...new Set(names)].toSorted();
    if (wanted.length === 0 || wanted.join("\n") === this.#names.get(type)?.join("\n")) return;
    this.#names.set(type, wanted);
    this.missing.add(type);
    this.#request(type, wanted, "", "");
  }

  #request(typeUrl: string, resourceNames: readonly string[], versionInfo: string, responseNonce: string): void {
    const request = create(DiscoveryRequestSchema, {
      typeUrl,
      resourceNames: [...resourceNames],
      versionInfo,
      responseNonce,
      ...this.node(),
    });
    this.stream.write(Buffer.from(toBinary(DiscoveryRequestSchema, request)));
  }
}

/** Incremental xDS, which ztunnels use. It requests all addresses and policies. */
class DeltaExchange extends Exchange {
  constructor(client: grpc.Client, proxy: LiveProxy, options: RecordOptions) {
    super(client, discoveryMethods.deltaAds, proxy, options);
  }

  protected begin(): void {
    for (const type of [typeUrls.address, typeUrls.authorization]) {
      this.missing.add(type);
      this.#request({ typeUrl: type, resourceNamesSubscribe: ["*"] });
    }
  }

  protected receive(bytes: Buffer): void {
    const { typeUrl, resources, nonce } = fromBinary(DeltaDiscoveryResponseSchema, bytes);
    this.#request({ typeUrl, responseNonce: nonce });
    for (const { name, resource } of resources) this.take(typeUrl, name, resource?.value ?? new Uint8Array());
    this.missing.delete(typeUrl);
    this.ofType(typeUrl);
  }

  #request(fields: {
    readonly typeUrl: string;
    readonly resourceNamesSubscribe?: string[];
    readonly responseNonce?: string;
  }): void {
    this.stream.write(
      Buffer.from(
        toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { ...fields, ...this.node() })),
      ),
    );
  }
}

// Proxies without a network. They request what an Envoy or a ztunnel requests, and acknowledge the responses.
import { create, fromBinary, toBinary, type JsonObject } from "@bufbuild/protobuf";
import type { DiscoveryServer } from "../../src/controlplane/serve/index.ts";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "../../src/wire/discovery/index.ts";
import { typeUrls } from "../../src/wire/xds/index.ts";

export interface Received {
  responses: number;
  bytes: number;
}

/**
 * The names that the first client requested. The other clients request the same names, so that they need not read
 * responses.
 */
export interface Script {
  endpoints: readonly string[];
  routes: readonly string[];
}

/** Opens a stream and counts its responses, which it acknowledges only when `acknowledge` is called. */
export class SilentClient {
  readonly received: Received = { responses: 0, bytes: 0 };
  readonly #client: ReturnType<DiscoveryServer["connect"]>;
  readonly #script: Script;
  readonly #pending: (readonly Buffer[])[] = [];
  readonly #requestedTypes = new Set<string>();
  readonly #node: { readonly id: string; readonly metadata: JsonObject };
  #first = true;

  constructor(
    discovery: DiscoveryServer,
    node: { readonly id: string; readonly metadata: JsonObject },
    script: Script,
  ) {
    this.#script = script;
    this.#node = node;
    this.#client = discovery.connect("delta", { write: (parts: readonly Buffer[]) => this.#take(parts) }, () => false);
  }

  subscribe(typeUrl: string, names: readonly string[] = []): void {
    if (this.#requestedTypes.has(typeUrl)) return;
    this.#requestedTypes.add(typeUrl);
    this.#send({ typeUrl, resourceNamesSubscribe: [...names] });
  }

  /** Acknowledges all responses that have arrived. Returns true if there were any. */
  acknowledge(): boolean {
    const pending = this.#pending.splice(0);
    for (const parts of pending) this.#answer(parts);
    return pending.length > 0;
  }

  close(): void {
    this.#client.close();
  }

  #take(parts: readonly Buffer[]): boolean {
    this.received.responses += 1;
    for (const part of parts) this.received.bytes += part.length;
    this.#pending.push(parts);
    return true;
  }

  #answer(parts: readonly Buffer[]): void {
    const { typeUrl, nonce } = fromBinary(DeltaDiscoveryResponseSchema, parts[0] ?? Buffer.alloc(0));
    this.#send({ typeUrl, responseNonce: nonce });
    if (typeUrl === typeUrls.cluster) {
      if (this.#script.endpoints.length === 0)
        this.#script.endpoints = fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts))
          .resources.map(({ name }) => name)
          .filter((name) => name.startsWith("outbound|"));
      this.subscribe(typeUrls.endpoint, this.#script.endpoints);
    }
    if (typeUrl === typeUrls.endpoint) this.subscribe(typeUrls.listener);
    if (typeUrl === typeUrls.listener) this.subscribe(typeUrls.route, this.#script.routes);
    if (typeUrl === typeUrls.route && this.#node.metadata["VIRTUAL_HOST_DISCOVERY"] === "true")
      this.subscribe("type.googleapis.com/envoy.config.route.v3.VirtualHost");
  }

  #send(request: { typeUrl: string; resourceNamesSubscribe?: string[]; responseNonce?: string }): void {
    const message = create(DeltaDiscoveryRequestSchema, {
      ...request,
      ...(this.#first ? { node: { ...this.#node, userAgentName: "envoy" } } : {}),
    });
    this.#first = false;
    this.#client.receive(toBinary(DeltaDiscoveryRequestSchema, message));
  }
}

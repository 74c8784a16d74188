import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Backoff, messageOf, onAbort, transientError, type Clock, type Logger, type Random } from "../base/index.ts";
import { nodeMessage, type XdsNode } from "../dataplane/index.ts";
import {
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
  StatusSchema,
  type DiscoveryResponse,
} from "../wire/discovery/index.ts";
import { SecretSchema } from "../wire/envoy/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import type { SecretStore } from "./tls/secret-store.ts";
import type { ServiceSecret } from "./tls/tls-spec.ts";
import type { Cluster } from "./upstream/cluster.ts";
import { runGrpcStream } from "./upstream/grpc-stream.ts";

export interface ExternalSecretsOptions {
  readonly store: Pick<SecretStore, "take" | "miss" | "fail" | "forget">;
  readonly clusterOf: (name: string) => Cluster | undefined;
  readonly node: XdsNode;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const streamSecrets = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
/** The gRPC code for a resource that cannot be used. */
const invalidArgument = 3;
const maxMessageBytes = 1_048_576;
/**
 * The maximum number of secrets. As in Envoy, each secret has its own stream, because some services serve only one
 * secret on a stream.
 */
const maxSecrets = 1000;
const retry = { initialMs: 100, maxMs: 10_000 } as const;

interface Followed {
  readonly ref: ServiceSecret;
  readonly ended: AbortController;
  /** The version of the secret that is in force. The service gets it again after a reconnect. */
  version: string;
  /** The cluster of the open stream, and a controller that ends the stream. Undefined without a stream. */
  stream: { readonly cluster: Cluster; readonly end: AbortController } | undefined;
  fault: string | undefined;
}

/**
 * Gets secrets from services in the proxy's own clusters, by Envoy's secret discovery service (SDS). Each worker asks
 * the service itself.
 */
export class ExternalSecrets {
  readonly #options: ExternalSecretsOptions;
  readonly #followed = new Map<string, Followed>();
  #isFull = false;

  constructor(options: ExternalSecretsOptions) {
    this.#options = options;
  }

  follow(wanted: ReadonlyMap<string, ServiceSecret>): void {
    for (const [key, { ref, ended }] of this.#followed) {
      if (wanted.has(key)) continue;
      this.#followed.delete(key);
      ended.abort();
      this.#options.store.forget(ref);
    }
    for (const [key, ref] of wanted) {
      if (this.#followed.has(key)) continue;
      if (this.#followed.size >= maxSecrets) {
        if (!this.#isFull)
          this.#options.log.warn(`this proxy asks SDS providers for at most ${maxSecrets} secrets`, {
            secret: ref.name,
            cluster: ref.service.cluster,
          });
        this.#isFull = true;
        return;
      }
      const followed = { ref, ended: new AbortController(), version: "", stream: undefined, fault: undefined };
      this.#followed.set(key, followed);
      void this.#run(followed);
    }
  }

  /**
   * Ends streams to clusters that were replaced, because such a stream would keep a connection with the old
   * configuration. Must be called once a second.
   */
  sweep(): void {
    for (const { stream } of this.#followed.values())
      if (stream !== undefined && this.#options.clusterOf(stream.cluster.name) !== stream.cluster) stream.end.abort();
  }

  close(): void {
    for (const { ended } of this.#followed.values()) ended.abort();
    this.#followed.clear();
  }

  async #run(followed: Followed): Promise<void> {
    const { clock, random } = this.#options;
    const { signal } = followed.ended;
    const backoff = new Backoff({ ...retry, random });
    while (!signal.aborted) {
      try {
        await this.#stream(followed, backoff);
        this.#failed(followed, "the provider ended the stream", backoff);
      } catch (error) {
        this.#failed(followed, messageOf(error), backoff);
      }
      await clock.sleep(backoff.nextMs(), signal).catch(() => undefined);
    }
  }

  async #stream(followed: Followed, backoff: Backoff): Promise<void> {
    const { service } = followed.ref;
    const cluster = this.#options.clusterOf(service.cluster);
    if (cluster === undefined) throw transientError("no-cluster", `there is no cluster ${service.cluster}`);
    const end = new AbortController();
    using _ended = onAbort(followed.ended.signal, () => end.abort());
    followed.stream = { cluster, end };
    let send: (message: Uint8Array) => void = () => undefined;
    try {
      await runGrpcStream(
        cluster,
        {
          authority: service.authority,
          path: streamSecrets,
          maxMessageBytes,
          failed: (message) => transientError("secret-service-failed", message),
          onMessage: (bytes) => {
            send(this.#receive(followed, fromBinary(DiscoveryResponseSchema, bytes)));
            backoff.reset();
          },
        },
        (begun) => {
          send = begun;
          send(this.#request(followed, "", undefined));
        },
        end.signal,
      );
    } finally {
      followed.stream = undefined;
    }
  }

  /** Applies a response. Returns the answer to send: an ACK, or a NACK with the reason. */
  #receive(followed: Followed, response: DiscoveryResponse): Uint8Array {
    const { ref } = followed;
    const { log, store } = this.#options;
    try {
      const body = secretOf(ref.name, response);
      if (body === undefined) {
        log.warn("the SDS provider has no such secret", { secret: ref.name, cluster: ref.service.cluster });
        store.miss(ref);
      } else store.take(ref, response.versionInfo, body);
      if (followed.fault !== undefined)
        log.info("the SDS provider answers again", { secret: ref.name, cluster: ref.service.cluster });
      followed.fault = undefined;
      followed.version = response.versionInfo;
      return this.#request(followed, response.nonce, undefined);
    } catch (error) {
      const reason = messageOf(error);
      log.warn("a secret of an SDS provider is rejected", {
        secret: ref.name,
        cluster: ref.service.cluster,
        error: reason,
      });
      store.fail(ref, reason);
      return this.#request(followed, response.nonce, reason);
    }
  }

  #request({ ref, version }: Followed, responseNonce: string, error: string | undefined): Uint8Array {
    return toBinary(
      DiscoveryRequestSchema,
      create(DiscoveryRequestSchema, {
        typeUrl: typeUrls.secret,
        resourceNames: [ref.name],
        versionInfo: version,
        responseNonce,
        // Only the first message of a stream contains the node.
        ...(responseNonce === "" ? { node: nodeMessage(this.#options.node) } : {}),
        ...(error === undefined
          ? {}
          : { errorDetail: create(StatusSchema, { code: invalidArgument, message: error }) }),
      }),
    );
  }

  #failed(followed: Followed, fault: string, { attempt }: Backoff): void {
    const { ref, ended } = followed;
    if (ended.signal.aborted) return;
    this.#options.store.fail(ref, fault);
    // Do not report the first failure: at the start, a cluster's endpoints arrive after the cluster, and a provider
    // that restarts answers the next attempt.
    if (attempt === 0) return;
    if (followed.fault !== fault)
      this.#options.log.warn("an SDS provider cannot be asked for a secret", {
        secret: ref.name,
        cluster: ref.service.cluster,
        error: fault,
      });
    followed.fault = fault;
  }
}

/**
 * The secret of this name. Undefined if the response has no secrets at all. Throws if it contains only other secrets,
 * or a resource of another type.
 */
function secretOf(name: string, { resources }: DiscoveryResponse): Uint8Array | undefined {
  const names: string[] = [];
  for (const { typeUrl, value } of resources) {
    if (typeUrl !== typeUrls.secret)
      throw transientError("config-rejected", `a resource of the type ${typeUrl}; expected a Secret`);
    const secret = fromBinary(SecretSchema, value);
    if (secret.name === name) return value;
    names.push(secret.name);
  }
  if (names.length > 0)
    throw transientError("config-rejected", `the secret ${names.join(", ")}; expected the secret ${name}`);
  return undefined;
}

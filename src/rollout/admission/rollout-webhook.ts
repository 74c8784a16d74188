import { createServer, type Server } from "node:https";
import { limitConnections, messageOf, type Clock, type Logger } from "../../base/index.ts";
import { mutatingWebhookConfigurationKind, validatingWebhookConfigurationKind } from "../../api/kubernetes/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import type { AccessReviews, AuthorKey } from "../access/index.ts";
import { ReviewHandler } from "./review-handler.ts";
import { loadOrCreateCertificate } from "./serving-certificate.ts";
import type { WebhookCertificate } from "./webhook-certificate.ts";

interface RolloutWebhookOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly namespace: string;
  readonly port: number;
  readonly authorKey: AuthorKey;
  readonly accessReviews: AccessReviews;
}

const service = "serin-rollout";
const reviewConfiguration = "serin-rollout";
const authorConfiguration = "serin-rollout-author";
/** How long a request may take to arrive. This is enough, because the API server sends a review in one piece. */
const requestTimeoutMs = 20_000;
/** The time limit of a TLS handshake. An API server in the same cluster needs milliseconds. */
const handshakeTimeoutMs = 10_000;
const maxConnections = 1_024;
const lookEveryMs = 10_000;
/**
 * How long an engine that ends still answers reviews. Its successor is ready already, but kube-proxy on each node sends
 * requests to this engine until it learns of the change. Without an answer, the API server would create a rollout
 * without an author.
 */
const lingerMs = 5_000;
/** How often an engine that is about to end checks whether it has been uninstalled. */
const lookWhileEndingMs = 250;
/** How often to look until the configuration exists and trusts the certificate. */
const lookAgainMs = 500;

/**
 * Answers the API server's reviews of rollouts and freezes, and renews its own certificate. Every engine does this,
 * whether it leads or not.
 */
export class RolloutWebhook {
  readonly #options: RolloutWebhookOptions;
  readonly #log: Logger;
  readonly #handler: ReviewHandler;
  #server: Server | undefined;
  #certificate: WebhookCertificate | undefined;
  #trusted = false;
  #isEnding = false;

  constructor(options: RolloutWebhookOptions) {
    this.#options = options;
    this.#log = options.log.scoped("admission");
    this.#handler = new ReviewHandler({ ...options, log: this.#log });
  }

  /**
   * Whether the API server has ever trusted this webhook. Rollouts that were created before that time have no author.
   */
  get trusted(): boolean {
    return this.#trusted;
  }

  /**
   * Blocks until the signal is aborted, and then answers for a while, unless `force` is aborted. Logs a failure of the
   * certificate and tries again. Meanwhile the schema of the kinds still rejects malformed objects.
   */
  async run(signal: AbortSignal, force: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    this.#handler.warm();
    while (!signal.aborted) {
      let trusted = false;
      try {
        trusted = await this.#look();
        this.#trusted ||= trusted;
      } catch (error) {
        this.#log.warn("the webhook for rollouts cannot answer now, trying again", { error: messageOf(error) });
      }
      await clock.sleep(trusted ? lookEveryMs : lookAgainMs, signal).catch(() => undefined);
    }
    if (this.#server !== undefined) await this.#linger(this.#server, force);
    await this.#handler.close();
  }

  /**
   * Closes every connection after its next response, so that the API server opens one to the successor. An engine that
   * is being uninstalled has no successor. It ends at once, because its namespace cannot be created again before it has
   * ended.
   */
  async #linger(server: Server, force: AbortSignal): Promise<void> {
    this.#isEnding = true;
    const over = new AbortController();
    const signal = AbortSignal.any([force, over.signal]);
    const lingered = this.#options.clock.sleep(lingerMs, signal).catch(() => undefined);
    await Promise.race([lingered, this.#untilUninstalled(signal)]);
    over.abort();
    server.close();
    server.closeAllConnections();
  }

  async #untilUninstalled(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && (await this.#mayGetReviews()))
      await this.#options.clock.sleep(lookWhileEndingMs, signal).catch(() => undefined);
  }

  /**
   * Whether the API server may still send reviews. An engine without rights is being uninstalled, and gets no reviews.
   */
  async #mayGetReviews(): Promise<boolean> {
    const { client } = this.#options;
    try {
      const author = await client.get(mutatingWebhookConfigurationKind, authorConfiguration);
      return (
        author !== undefined ||
        (await client.get(validatingWebhookConfigurationKind, reviewConfiguration)) !== undefined
      );
    } catch (error) {
      // The account and its rights are deleted together with the engine.
      return !isKubeCode(error, "unauthorized") && !isKubeCode(error, "forbidden");
    }
  }

  /** Whether the API server trusts the certificate now. */
  async #look(): Promise<boolean> {
    const { client, clock, namespace, port } = this.#options;
    const dnsNames = [`${service}.${namespace}.svc`, `${service}.${namespace}`];
    const certificate = await loadOrCreateCertificate({
      client,
      clock,
      namespace,
      secretName: `${service}-webhook`,
      serviceName: service,
      dnsNames,
    });
    if (this.#server === undefined) this.#server = await this.#listen(certificate, port);
    else if (certificate.certificate !== this.#certificate?.certificate)
      this.#server.setSecureContext({ cert: certificate.certificate, key: certificate.privateKey });
    this.#certificate = certificate;
    const caBundle = Buffer.from(certificate.certificate).toString("base64");
    const { authorKey } = this.#options;
    const review = await this.#trust(validatingWebhookConfigurationKind, reviewConfiguration, {
      caBundle,
      path: await authorKey.path("review"),
    });
    const author = await this.#trust(mutatingWebhookConfigurationKind, authorConfiguration, {
      caBundle,
      path: await authorKey.path("author"),
    });
    return review && author;
  }

  async #listen({ certificate, privateKey }: WebhookCertificate, port: number): Promise<Server> {
    const server = createServer(
      { cert: certificate, key: privateKey, minVersion: "TLSv1.2", handshakeTimeout: handshakeTimeoutMs },
      (request, response) => {
        if (this.#isEnding) response.setHeader("connection", "close");
        void this.#handler.handle(request, response);
      },
    );
    server.requestTimeout = requestTimeoutMs;
    limitConnections(server, maxConnections);
    return await new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, () => {
        server.off("error", reject);
        server.on("error", (error) => this.#log.warn("the webhook's server failed", { error: error.message }));
        resolve(server);
      });
    });
  }

  /** Writes the CA and the secret path into the webhook's configuration. */
  async #trust(
    kind: typeof validatingWebhookConfigurationKind,
    name: string,
    { caBundle, path }: { readonly caBundle: string; readonly path: string },
  ): Promise<boolean> {
    const { client } = this.#options;
    const found = await client.get(kind, name);
    if (found?.webhooks === undefined) return false;
    const isCurrent = ({ clientConfig: { caBundle: trusted, service } }: (typeof found.webhooks)[number]): boolean =>
      trusted === caBundle && service?.path === path;
    if (found.webhooks.every(isCurrent)) return true;
    const webhooks = found.webhooks.map((webhook) => ({
      ...webhook,
      clientConfig: {
        ...webhook.clientConfig,
        ...(webhook.clientConfig.service === undefined ? {} : { service: { ...webhook.clientConfig.service, path } }),
        caBundle,
      },
    }));
    await client.patchMerge(
      kind,
      name,
      undefined,
      { metadata: { resourceVersion: found.metadata.resourceVersion }, webhooks },
      { fieldManager: "serin-rollout-webhook" },
    );
    return true;
  }
}

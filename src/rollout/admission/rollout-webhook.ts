import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import { mutatingWebhookConfigurationKind, validatingWebhookConfigurationKind } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { reviewAuthor, type AccessReviews, type AuthorKey } from "../access/index.ts";
import { refusalByRights } from "./review-rights.ts";
import { reviewRollout } from "./review.ts";
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

/** What answers to reviews need. */
export type ReviewTools = Pick<RolloutWebhookOptions, "log" | "authorKey" | "accessReviews">;

const service = "serin-rollout";
const reviewConfiguration = "serin-rollout";
const authorConfiguration = "serin-rollout-author";
const maxBodyBytes = 8 << 20;
const lookEveryMs = 10_000;
/** Until the configuration is there and trusts the certificate. */
const lookAgainMs = 500;

/** Answers the API server's reviews of rollouts and freezes, and keeps its own certificate trusted. Every engine does, leading or not. */
export class RolloutWebhook {
  readonly #options: RolloutWebhookOptions;
  readonly #log: Logger;
  #server: Server | undefined;
  #certificate: WebhookCertificate | undefined;
  #trusted = false;

  constructor(options: RolloutWebhookOptions) {
    this.#options = options;
    this.#log = options.log.scoped("admission");
  }

  /** Whether the API server has trusted this webhook once: rollouts that are made before have no author. */
  get trusted(): boolean {
    return this.#trusted;
  }

  /** Blocks until the signal is aborted. Trouble with the certificate is logged and tried again: the schema still stands. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      let trusted = false;
      try {
        trusted = await this.#look();
        this.#trusted ||= trusted;
      } catch (error) {
        this.#log.warn("reviews of rollouts are not answered now, trying again", { error: messageOf(error) });
      }
      await clock.sleep(trusted ? lookEveryMs : lookAgainMs, signal).catch(() => undefined);
    }
    this.#server?.close();
    this.#server?.closeAllConnections();
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
    const path = await this.#options.authorKey.path();
    const review = await this.#trust(validatingWebhookConfigurationKind, reviewConfiguration, { caBundle });
    const author = await this.#trust(mutatingWebhookConfigurationKind, authorConfiguration, { caBundle, path });
    return review && author;
  }

  async #listen({ certificate, privateKey }: WebhookCertificate, port: number): Promise<Server> {
    const server = createServer(
      { cert: certificate, key: privateKey, minVersion: "TLSv1.2" },
      (request, response) => void answerReview(request, response, { ...this.#options, log: this.#log }),
    );
    return await new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, () => {
        server.off("error", reject);
        server.on("error", (error) => this.#log.warn("the webhook's server failed", { error: error.message }));
        resolve(server);
      });
    });
  }

  /** Tells the API server which CA to trust, and the path if that is a secret. */
  async #trust(
    kind: typeof validatingWebhookConfigurationKind,
    name: string,
    { caBundle, path }: { readonly caBundle: string; readonly path?: string },
  ): Promise<boolean> {
    const { client } = this.#options;
    const found = await client.get(kind, name);
    if (found?.webhooks === undefined) return false;
    const isTold = ({ clientConfig: { caBundle: trusted, service } }: (typeof found.webhooks)[number]): boolean =>
      trusted === caBundle && (path === undefined || service?.path === path);
    if (found.webhooks.every(isTold)) return true;
    const webhooks = found.webhooks.map((webhook) => ({
      ...webhook,
      clientConfig: {
        ...webhook.clientConfig,
        ...(path === undefined || webhook.clientConfig.service === undefined
          ? {}
          : { service: { ...webhook.clientConfig.service, path } }),
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

/** Never throws, whatever is sent: who reaches the port must not be able to end the engine. */
export async function answerReview(
  request: IncomingMessage,
  response: ServerResponse,
  { log, authorKey, accessReviews }: ReviewTools,
): Promise<void> {
  try {
    const review: unknown = JSON.parse(await bodyOf(request));
    if (typeof review !== "object" || review === null) throw new Error("the body is no AdmissionReview");
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const asksAuthor = pathname.startsWith("/author");
    if (asksAuthor && !(await authorKey.isPath(pathname))) throw new Error("authors are told to the API server alone");
    const answer = JSON.stringify(
      asksAuthor
        ? reviewAuthor(review, await authorKey.get())
        : await reviewRollout(review, await refusalByRights(review, accessReviews)),
    );
    response.writeHead(200, { "content-type": "application/json" }).end(answer);
  } catch (error) {
    log.warn("a review could not be answered", { error: messageOf(error) });
    response.writeHead(400).end(`${messageOf(error)}\n`);
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = chunk as Buffer;
    size += bytes.length;
    if (size > maxBodyBytes) throw new Error(`the review has more than ${maxBodyBytes} bytes`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString("utf8");
}

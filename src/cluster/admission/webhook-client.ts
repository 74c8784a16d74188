import { Agent, request as httpsRequest } from "node:https";
import { transientError } from "../../base/index.ts";
import { JoinedBytes, requireFinalResponse } from "../../base/joined-bytes/index.ts";
import type { Store } from "../store/index.ts";
import type { Webhook, WebhookClientConfig } from "./webhook-configurations.ts";

/** The AdmissionResponse of admission.k8s.io/v1. */
export interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly status?: {
    readonly code?: number;
    readonly message?: string;
    readonly reason?: string;
    readonly details?: unknown;
  };
  readonly patch?: string;
  readonly patchType?: string;
  readonly warnings?: readonly string[];
}

interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly serverName: string;
  readonly ca: string | undefined;
  /** The webhook's URL in error messages, in kube-apiserver's form. */
  readonly shown: string;
}

const defaultTimeoutSeconds = 10;
const maximumAgents = 64;
const maximumAnswerBytes = 4 * 1024 * 1024;

/** Calls webhooks over TLS. Reuses connections. */
export class WebhookClient {
  readonly #store: Store;
  readonly #agents = new Map<string, Agent>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Calls the webhook. Throws unless the webhook sends a valid answer in time. */
  async call(webhook: Webhook, review: { readonly request: { readonly uid: string } }): Promise<AdmissionResponse> {
    const seconds = webhook.timeoutSeconds ?? defaultTimeoutSeconds;
    const endpoint = this.#endpoint(webhook.clientConfig, seconds);
    const failed = (message: string, cause?: unknown): Error =>
      transientError("webhook-failed", `failed to call webhook: Post "${endpoint.shown}": ${message}`, { cause });
    let text: string;
    try {
      text = await this.#post(endpoint, JSON.stringify(review), AbortSignal.timeout(seconds * 1000));
    } catch (error) {
      if (error instanceof Error && error.name === "TimeoutError") throw failed("context deadline exceeded", error);
      throw failed(error instanceof Error ? error.message : String(error), error);
    }
    let response: AdmissionResponse | undefined;
    try {
      response = (JSON.parse(text) as { response?: AdmissionResponse }).response;
    } catch (error) {
      throw failed("the answer is not JSON", error);
    }
    if (response === undefined || typeof response.allowed !== "boolean") throw failed("webhook response was absent");
    if (response.uid !== review.request.uid)
      throw failed(`expected response.uid="${review.request.uid}", got "${response.uid}"`);
    return response;
  }

  #endpoint(config: WebhookClientConfig, seconds: number): Endpoint {
    const ca =
      config.caBundle === undefined || config.caBundle === ""
        ? undefined
        : Buffer.from(config.caBundle, "base64").toString("utf8");
    if (config.url !== undefined) {
      const url = new URL(config.url);
      url.searchParams.set("timeout", `${seconds}s`);
      return {
        host: url.hostname,
        port: Number(url.port || "443"),
        path: url.pathname + url.search,
        serverName: url.hostname,
        ca,
        shown: url.href,
      };
    }
    const { service } = config;
    if (service === undefined) throw transientError("webhook-failed", "the webhook has neither a URL nor a service");
    const found = this.#store.get("/services", service.namespace, service.name);
    const { clusterIP, type, externalName } = (found?.object["spec"] ?? {}) as {
      clusterIP?: string;
      type?: string;
      externalName?: string;
    };
    const serverName = `${service.name}.${service.namespace}.svc`;
    const port = service.port ?? 443;
    const path = `/${(service.path ?? "").replace(/^\//, "")}?timeout=${seconds}s`;
    const shown = `https://${serverName}:${port}${path}`;
    const host = type === "ExternalName" ? externalName : clusterIP;
    if (found === undefined || host === undefined || host === "None") {
      throw transientError(
        "webhook-failed",
        `failed to call webhook: Post "${shown}": service "${service.name}" not found`,
      );
    }
    return { host, port, path, serverName, ca, shown };
  }

  async #post(endpoint: Endpoint, body: string, signal: AbortSignal): Promise<string> {
    return await new Promise((resolve, reject) => {
      const outgoing = httpsRequest({
        agent: this.#agentFor(endpoint),
        host: endpoint.host,
        port: endpoint.port,
        path: endpoint.path,
        servername: /^[\d.]+$|:/.test(endpoint.serverName) ? "" : endpoint.serverName,
        method: "POST",
        headers: {
          host: endpoint.serverName,
          "content-type": "application/json",
          accept: "application/json",
          "content-length": Buffer.byteLength(body),
        },
        signal,
      });
      requireFinalResponse(outgoing);
      outgoing.on("error", (error) => reject(signal.aborted && signal.reason instanceof Error ? signal.reason : error));
      outgoing.on("response", (answer) => {
        const received = new JoinedBytes();
        answer.on("data", (chunk: Buffer) => {
          received.add(chunk);
          if (received.length > maximumAnswerBytes) outgoing.destroy(new Error("the answer is too long"));
        });
        answer.on("error", reject);
        answer.on("end", () => {
          const text = received.view().toString("utf8");
          if (answer.statusCode === 200) resolve(text);
          else reject(new Error(`the server answered ${answer.statusCode ?? 0}: ${text.slice(0, 500)}`));
        });
      });
      outgoing.end(body);
    });
  }

  #agentFor({ host, port, serverName, ca }: Endpoint): Agent {
    const key = `${host} ${port} ${serverName} ${ca ?? ""}`;
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      const [oldest] = this.#agents;
      if (this.#agents.size >= maximumAgents && oldest !== undefined) {
        oldest[1].destroy();
        this.#agents.delete(oldest[0]);
      }
      agent = new Agent({ keepAlive: true, maxFreeSockets: 4, timeout: 30_000, ...(ca === undefined ? {} : { ca }) });
      this.#agents.set(key, agent);
    }
    return agent;
  }
}

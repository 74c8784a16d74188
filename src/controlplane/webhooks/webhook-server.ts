import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { SecureContextOptions } from "node:tls";
import type { CompliancePolicy } from "../../base/compliance/index.ts";
import {
  limitConnections,
  messageOf,
  SerinError,
  transientError,
  userError,
  type Clock,
  type Logger,
} from "../../base/index.ts";
import { BodyBudget } from "../../base/shared-budget/index.ts";
import { excessText } from "../../base/threads/index.ts";
import { negotiationUnder } from "../../net/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { ServingCertificate } from "../ca/index.ts";
import { listening } from "../serve/index.ts";
import { refuse } from "../../api/admission-review/index.ts";
import { createInjectionMetrics } from "./injection-metrics.ts";
import type { InjectionScope } from "./inject-review.ts";
import { reviewLimitMs, ReviewQueue, type WebhookVerdict } from "./review-queue.ts";
import { createValidationMetrics } from "./validation-metrics.ts";

/** How long a review may take to arrive. The API server sends a review in one piece, so this can be short. */
const requestTimeoutMs = 20_000;
/** The time limit of a handshake. An API server in the same cluster needs milliseconds. */
const handshakeTimeoutMs = 10_000;
const defaultMaxConnections = 1_024;

export interface WebhookServerOptions {
  readonly address: string;
  readonly port: number;
  readonly certificate: ServingCertificate;
  readonly compliance?: CompliancePolicy | undefined;
  readonly scope: (namespace: string) => InjectionScope;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly maxConnections?: number;
}

/**
 * Serves admission reviews to the API server. Reviews run in a separate thread, so that they cannot block discovery.
 */
export async function serveWebhooks(options: WebhookServerOptions): Promise<Server> {
  const { address, port, certificate, compliance, maxConnections = defaultMaxConnections } = options;
  const handler = new ReviewHandler(options);
  const server = createServer(
    { ...webhookTls(certificate, compliance), handshakeTimeout: handshakeTimeoutMs },
    (request, response) => void handler.handle(request, response),
  );
  server.requestTimeout = requestTimeoutMs;
  limitConnections(server, maxConnections);
  server.on("close", () => void handler.close());
  return await listening(server, address, port);
}

/**
 * The TLS settings of the server. They are set again with each later certificate, because node drops them together with
 * the former certificate.
 */
export function webhookTls(
  { certificate, privateKey }: ServingCertificate,
  compliance: CompliancePolicy | undefined,
): SecureContextOptions {
  return { cert: certificate, key: privateKey, ...negotiationUnder(compliance) };
}

type Lane = "validate" | "inject";

class ReviewHandler {
  readonly #queue: ReviewQueue;
  readonly #validation;
  readonly #injection;
  readonly #log: Logger;
  readonly #bodies = new BodyBudget({
    tooLarge: (maxBytes) => userError("request-too-long", `the request is larger than ${maxBytes} bytes`),
    busy,
  });

  constructor({ scope, clock, metrics, log }: WebhookServerOptions) {
    this.#queue = new ReviewQueue({ scope, clock });
    this.#validation = createValidationMetrics(metrics);
    this.#injection = createInjectionMetrics(metrics, log);
    this.#log = log;
  }

  /** Answers a request. Never throws, because no client may be able to end the process. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let lane: Lane | undefined;
    try {
      const { pathname } = new URL(request.url ?? "/", "https://localhost");
      lane = laneOf(pathname);
      if (lane === undefined) {
        response.writeHead(404).end("no such path; available paths: /validate, /inject\n");
        return;
      }
      const verdict = await this.#verdict(lane, pathname, request, response);
      const text = this.#answerOf(verdict, lane);
      response.writeHead(200, { "content-type": "application/json" }).end(text);
    } catch (error) {
      if (lane === "validate") this.#validation.failed();
      this.#log.warn("an admission review could not be answered", { error: messageOf(error) });
      const isBusy = error instanceof SerinError && error.code === "busy";
      response.writeHead(isBusy ? 503 : 400).end(`${messageOf(error)}\n`);
    }
  }

  async close(): Promise<void> {
    await this.#queue.close();
  }

  async #verdict(
    lane: Lane,
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<WebhookVerdict> {
    const address = request.socket.remoteAddress ?? "";
    return await this.#bodies.use(request, address, async (body) => {
      // Validation and injection take turns like two callers, so that objects do not delay pods.
      const caller = `${lane} ${address}`;
      const verdict = await this.#queue.review(caller, { path, body }, () => !response.destroyed);
      if (verdict === undefined) throw busy();
      return verdict;
    });
  }

  #answerOf(verdict: WebhookVerdict, lane: Lane): string {
    if (verdict.kind === "fault") throw userError("bad-request", verdict.message);
    if (verdict.kind === "answer") {
      const { text, validation, injection } = verdict;
      if (validation !== undefined) this.#validation.judged(validation);
      if (injection !== undefined) this.#injection.judged(injection);
      return text;
    }
    const { kind, reviewed } = verdict;
    const spent = excessText(kind, reviewLimitMs);
    if (reviewed === undefined) throw userError("too-much-work", `reading this request took ${spent}`);
    const message = `${reviewed.object} is refused: its validation took ${spent}. Split it into several objects with shorter lists and less nesting`;
    this.#log.warn("the validation of an object takes too long", {
      object: reviewed.object,
      limitMs: reviewLimitMs,
      kind,
    });
    if (lane === "validate") this.#validation.failed();
    return JSON.stringify(refuse({ request: { uid: reviewed.uid } }, message));
  }
}

/** What a path asks for. As in upstream, segments such as `/cluster/…` may follow. */
function laneOf(path: string): Lane | undefined {
  return (["validate", "inject"] as const).find((lane) => path === `/${lane}` || path.startsWith(`/${lane}/`));
}

function busy(): Error {
  return transientError("busy", "too many admission reviews are waiting: try again in a few seconds");
}

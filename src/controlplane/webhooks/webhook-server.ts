import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { messageOf, type Logger } from "../../base/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { ServingCertificate } from "../ca/index.ts";
import { listening, readBody } from "../serve/index.ts";
import type { AdmissionAnswer, AdmissionReview } from "./admission-review.ts";
import { validate } from "./admission.ts";
import { createValidationMetrics } from "./validation-metrics.ts";

const maxBodyBytes = 8 << 20;

/** What is asked at `/inject…`. */
export type InjectReviewer = (review: AdmissionReview, path: string) => AdmissionAnswer;
type Reviewer = (review: AdmissionReview) => AdmissionAnswer;

interface Reviewers {
  readonly validate: Reviewer;
  readonly inject: InjectReviewer;
  /** A request that could not be read or answered. */
  readonly failed: (path: string) => void;
}

/** Starts to answer the API server's admission reviews. */
export async function serveWebhooks(
  address: string,
  port: number,
  certificate: ServingCertificate,
  inject: InjectReviewer,
  metrics: MetricsRegistry,
  log: Logger,
): Promise<Server> {
  const counted = createValidationMetrics(metrics);
  const reviewers: Reviewers = {
    validate: (review) => {
      const answer = validate(review);
      counted.judged(review, answer);
      return answer;
    },
    inject,
    failed: (path) => (path.startsWith("/validate") ? counted.failed() : undefined),
  };
  const server = createServer(
    { cert: certificate.certificate, key: certificate.privateKey, minVersion: "TLSv1.2" },
    (request, response) => void handle(request, response, reviewers, log),
  );
  return await listening(server, address, port);
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  reviewers: Reviewers,
  log: Logger,
): Promise<void> {
  try {
    const review = reviewerOf(request.url ?? "/", reviewers);
    if (review === undefined) {
      response.writeHead(404).end("there are /validate and /inject\n");
      return;
    }
    const answer = review(JSON.parse(await readBody(request, maxBodyBytes)) as AdmissionReview);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
  } catch (error) {
    reviewers.failed(request.url ?? "/");
    log.warn("an admission review could not be answered", { error: messageOf(error) });
    response.writeHead(400).end(`${messageOf(error)}\n`);
  }
}

/** `/inject` may go on with `/cluster/…` and the like, as upstream's does. */
function reviewerOf(url: string, { validate: judge, inject }: Reviewers): Reviewer | undefined {
  const { pathname } = new URL(url, "https://localhost");
  if (pathname === "/validate" || pathname.startsWith("/validate/")) return judge;
  return pathname === "/inject" || pathname.startsWith("/inject/") ? (review) => inject(review, pathname) : undefined;
}

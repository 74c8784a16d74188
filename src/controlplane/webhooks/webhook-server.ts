import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { messageOf, transientError, userError, type Logger } from "../../base/index.ts";
import type { ServingCertificate } from "../ca/index.ts";
import { validate, type AdmissionAnswer, type AdmissionReview } from "./admission.ts";
import type { InjectAnswer, InjectReview } from "./inject-review.ts";

const maxBodyBytes = 8 << 20;

/** What is asked at `/inject…`. */
export type InjectReviewer = (review: InjectReview, path: string) => InjectAnswer;
type Reviewer = (review: AdmissionReview) => AdmissionAnswer | InjectAnswer;

/** Starts to answer the API server's admission reviews. */
export async function serveWebhooks(address: string, port: number, certificate: ServingCertificate, inject: InjectReviewer, log: Logger): Promise<Server> {
  const server = createServer({ cert: certificate.certificate, key: certificate.privateKey, minVersion: "TLSv1.2" }, (request, response) => void handle(request, response, inject, log));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(transientError("cannot-listen", `cannot listen on ${address}:${port}: ${error.message}`, { cause: error })));
    server.listen(port, address, resolve);
  });
  return server;
}

async function handle(request: IncomingMessage, response: ServerResponse, inject: InjectReviewer, log: Logger): Promise<void> {
  const review = reviewerOf(request.url ?? "/", inject);
  if (review === undefined) {
    response.writeHead(404).end("there are /validate and /inject\n");
    return;
  }
  try {
    const answer = review(JSON.parse(await readBody(request)) as AdmissionReview);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
  } catch (error) {
    log.warn("an admission review could not be answered", { error: messageOf(error) });
    response.writeHead(400).end(`${messageOf(error)}\n`);
  }
}

/** `/inject` may go on with `/cluster/…` and the like, as upstream's does. */
function reviewerOf(url: string, inject: InjectReviewer): Reviewer | undefined {
  const { pathname } = new URL(url, "https://localhost");
  if (pathname === "/validate" || pathname.startsWith("/validate/")) return validate;
  return pathname === "/inject" || pathname.startsWith("/inject/") ? (review) => inject(review, pathname) : undefined;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) throw userError("too-large", `the review is larger than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

import { readFile } from "node:fs/promises";
import type { IncomingMessage, RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { nodeHttp, transientError } from "../../base/index.ts";
import { requireFinalResponse } from "../../base/joined-bytes/index.ts";
import { BodyBudget } from "../../base/shared-budget/index.ts";
import type { ScrapeAccess } from "./scrape-config.ts";
import type { ScrapeTarget } from "./targets.ts";

/**
 * Fetches the text of a target, and passes it to `read` with its content type. Rejects unless the target answers with
 * status 200 before the signal aborts. The text counts towards the limit for responses until `read` has ended, so
 * `read` must not keep any part of it for longer.
 */
export type FetchMetrics = (
  target: ScrapeTarget,
  signal: AbortSignal,
  read: (text: string, contentType: string) => Promise<void>,
) => Promise<void>;

/**
 * The limits for responses. A scrape fails if its response is longer than `maxBytes`. All responses that are being read
 * share `maxHeldBytes`, where those of one namespace may use at most half of what the other namespaces leave.
 */
const defaultLimits = { maxBytes: 64 << 20, maxHeldBytes: 128 << 20 };
const accept = "text/plain;version=0.0.4,*/*;q=0.1";

/** Makes a function that fetches metrics over HTTP, and limits the memory of all responses that it is reading. */
export function createFetchMetrics(limits = defaultLimits): FetchMetrics {
  const bodies = new BodyBudget(
    {
      tooLarge: (max) => transientError("scrape-failed", `the answer is longer than ${max} bytes`),
      busy: () =>
        transientError(
          "scrape-failed",
          `too many long answers are being read at once: those of one namespace may use half of what the others leave of ${limits.maxHeldBytes} bytes`,
        ),
    },
    limits,
  );
  return async (target, signal, read) => {
    const response = await openResponse(target, signal);
    try {
      const contentType = response.headers["content-type"] ?? "";
      // Not an async function, because that would keep the bytes in memory beside the text.
      await bodies.use(response, target.owner.namespace, (body) => read(body.toString("utf8"), contentType));
    } finally {
      response.destroy();
    }
  };
}

async function openResponse(target: ScrapeTarget, signal: AbortSignal): Promise<IncomingMessage> {
  const { access } = target.job;
  const url = new URL(target.url);
  const headers = {
    accept,
    "user-agent": "Prometheus/serin",
    "x-prometheus-scrape-timeout-seconds": String(target.timeoutMs / 1000),
    ...(await authorizationOf(access)),
  };
  const options = { headers, signal, agent: false } satisfies RequestOptions;
  const outgoing =
    url.protocol === "https:"
      ? httpsRequest(url, { ...options, ...(await tlsOf(access)) })
      : nodeHttp().request(url, options);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    requireFinalResponse(outgoing);
    outgoing.once("response", resolve);
    outgoing.once("error", reject);
    outgoing.end();
  });
  if (response.statusCode !== 200) {
    response.destroy();
    throw transientError(
      "scrape-failed",
      `server returned HTTP status ${response.statusCode ?? 0} ${response.statusMessage ?? ""}`.trim(),
    );
  }
  return response;
}

async function authorizationOf({
  bearerToken,
  bearerTokenFile,
  basic,
}: ScrapeAccess): Promise<{ readonly authorization?: string }> {
  if (basic !== undefined)
    return { authorization: `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString("base64")}` };
  const token =
    bearerToken ?? (bearerTokenFile === undefined ? undefined : (await readFile(bearerTokenFile, "utf8")).trim());
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

async function tlsOf({ caFile, certificateFile, keyFile, serverName, insecure }: ScrapeAccess): Promise<{
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized: boolean;
}> {
  return {
    rejectUnauthorized: !insecure,
    ...(caFile === undefined ? {} : { ca: await readFile(caFile, "utf8") }),
    ...(certificateFile === undefined ? {} : { cert: await readFile(certificateFile, "utf8") }),
    ...(keyFile === undefined ? {} : { key: await readFile(keyFile, "utf8") }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}

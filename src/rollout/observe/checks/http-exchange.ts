import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { nodeHttp, transientError } from "../../../base/index.ts";
import { requireFinalResponse, readBytes } from "../../../base/joined-bytes/index.ts";
import { lookupOf, outsideLookup, refuseInsideAddress } from "./forbidden-addresses.ts";

const maxAnswerBytes = 1024 * 1024;

export interface HttpQuestion {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly addresses?: readonly string[];
  readonly shownAs?: string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

/**
 * Sends one request. Throws a transient error if the answer is late or too long, or if the server must not be called.
 */
export type HttpExchange = (question: HttpQuestion) => Promise<HttpAnswer>;

export const httpExchange: HttpExchange = async (question) => {
  const { url, method, headers, body, timeoutMs, addresses, shownAs } = question;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const target = new URL(url);
    refuseInsideAddress(target);
    const options: RequestOptions = {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) }) },
      signal,
      agent: false,
      lookup: addresses === undefined ? outsideLookup : lookupOf(addresses),
    };
    const request = target.protocol === "https:" ? httpsRequest(target, options) : nodeHttp().request(target, options);
    return await answerOf(requireFinalResponse(request), body);
  } catch (error) {
    const reason = signal.aborted
      ? `no answer in ${timeoutMs} ms`
      : error instanceof Error
        ? error.message
        : String(error);
    throw transientError("unreachable", `${method} ${shownAs ?? shownUrl(url)}: ${reason}`);
  }
};

/** A URL without its credentials and its query, for evidence and logs, which other people may read. */
export function shownUrl(url: string): string {
  if (!URL.canParse(url)) return "an invalid URL";
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

async function answerOf(request: ClientRequest, body: string | undefined): Promise<HttpAnswer> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.once("response", resolve).once("error", reject);
    request.end(body);
  });
  const answer = await readBytes(
    response as AsyncIterable<Buffer>,
    maxAnswerBytes,
    () => new Error(`the answer is longer than ${maxAnswerBytes} bytes`),
  );
  return { status: response.statusCode ?? 0, text: answer.toString("utf8") };
}

// One request of the corpus, and a server's answer to it.
import { request } from "node:https";
import type { ApiAccess } from "./compared-servers.ts";

// eslint-disable-next-line typescript/no-explicit-any -- answers of any kind are read freely
export type Json = any;

/** The bodies of earlier answers of the same server, by title. */
export type Earlier = (title: string) => Json;

type Now<Value> = Value | ((earlier: Earlier) => Value);

export interface Exchange {
  /** Unique in the corpus. */
  readonly title: string;
  readonly method: string;
  readonly path: Now<string>;
  /** Text is sent as it is, and everything else as JSON. */
  readonly body?: Now<object | string>;
  readonly contentType?: string;
  readonly accept?: string;
  readonly headers?: Now<Readonly<Record<string, string>>>;
  readonly anonymous?: true;
  /** A stream is read until a line contains this. */
  readonly until?: string;
  /** The request is sent again until the answer's body satisfies this: a server does some work after a write. */
  readonly waitFor?: (body: Json) => boolean;
}

export interface ExchangeAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly warnings: readonly string[];
  /** A list of events for a stream, and text if it is not JSON. */
  readonly body: Json;
}

const waitTimeoutMs = 60_000;
/** The time limit of an answer. A stream that does not end as expected is cut off, which the comparison shows. */
const answerTimeoutMs = 20_000;
const lookMs = 100;

/** Sends the request, and sends it again until its condition holds. If it never does, returns the last answer. */
export async function perform(access: ApiAccess, exchange: Exchange, earlier: Earlier): Promise<ExchangeAnswer> {
  const deadline = Date.now() + waitTimeoutMs;
  for (;;) {
    const answer = await send(access, exchange, earlier);
    if (exchange.waitFor === undefined || exchange.waitFor(answer.body) || Date.now() > deadline) return answer;
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

/** A stream's answer is its events up to the expected end. */
async function send(access: ApiAccess, exchange: Exchange, earlier: Earlier): Promise<ExchangeAnswer> {
  const now = <Value>(value: Now<Value>): Value =>
    typeof value === "function" ? (value as (earlier: Earlier) => Value)(earlier) : value;
  const body = exchange.body === undefined ? undefined : now(exchange.body);
  const payload = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
  const { host, port, ca, cert, key } = access;
  const headers: Record<string, string | number> = {
    "user-agent": "corpus/1.0",
    ...(exchange.accept === undefined ? {} : { accept: exchange.accept }),
    ...(payload === undefined
      ? {}
      : { "content-type": exchange.contentType ?? "application/json", "content-length": Buffer.byteLength(payload) }),
    ...(exchange.headers === undefined ? {} : now(exchange.headers)),
  };
  return await new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host,
        port,
        ca,
        ...(exchange.anonymous === true ? {} : { cert, key }),
        method: exchange.method,
        path: now(exchange.path),
        headers,
        agent: false,
      },
      (answer) => {
        const chunks: Buffer[] = [];
        const finish = (): void => {
          clearTimeout(timer);
          const text = Buffer.concat(chunks).toString("utf8");
          resolve({
            status: answer.statusCode ?? 0,
            contentType: answer.headers["content-type"] ?? "",
            warnings: answer.headersDistinct["warning"] ?? [],
            body:
              exchange.until === undefined
                ? parsed(text)
                : text
                    .split("\n")
                    .filter((line) => line !== "")
                    .map(parsed),
          });
        };
        const cutOff = (): void => {
          outgoing.destroy();
          finish();
        };
        const timer = setTimeout(cutOff, answerTimeoutMs);
        answer.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          if (exchange.until === undefined || !chunk.includes("\n") || !Buffer.concat(chunks).includes(exchange.until))
            return;
          cutOff();
        });
        answer.on("end", finish);
        answer.on("error", () => undefined);
      },
    );
    outgoing.on("error", reject);
    outgoing.end(payload);
  });
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

type More = Omit<Exchange, "title" | "method" | "path" | "body">;

export function get(title: string, path: Now<string>, more: More = {}): Exchange {
  return { title, method: "GET", path, ...more };
}

export function post(title: string, path: Now<string>, body: Now<object | string>, more: More = {}): Exchange {
  return { title, method: "POST", path, body, ...more };
}

export function put(title: string, path: Now<string>, body: Now<object | string>, more: More = {}): Exchange {
  return { title, method: "PUT", path, body, ...more };
}

export function remove(title: string, path: Now<string>, body?: Now<object | string>, more: More = {}): Exchange {
  return { title, method: "DELETE", path, ...(body === undefined ? {} : { body }), ...more };
}

const patchTypes = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml",
} as const;

export function patch(
  kind: keyof typeof patchTypes,
  title: string,
  path: Now<string>,
  body: Now<object | string>,
  more: More = {},
): Exchange {
  return { title, method: "PATCH", path, body, contentType: patchTypes[kind], ...more };
}

export function watch(title: string, path: Now<string>, until = '"name":"end"', more: More = {}): Exchange {
  return { title, method: "GET", path, until, ...more };
}

export const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

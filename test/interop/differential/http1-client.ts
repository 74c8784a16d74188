// Sends bytes as they are, and returns the answer.
import { connect, type Socket } from "node:net";
import { answerText } from "./outcome.ts";

export interface Http1Result {
  readonly answers: readonly string[];
  readonly connection: "goes on" | "ends" | "waits";
  readonly answer: string;
}

export interface Http1Case {
  readonly bytes: Buffer;
  /** How many answers to wait for. By default, one. */
  readonly requests?: number;
  /** Whether the answers have no body, because the request is a HEAD. */
  readonly bodiless?: boolean;
  readonly from?: string;
  /** Whether to send another request on the connection afterwards. By default, yes. */
  readonly probes?: boolean;
  /** After this time without a byte, no more answers are expected. Long enough for a busy machine. */
  readonly quietMs?: number;
}

interface ParsedAnswer {
  readonly status: number;
  readonly fields: readonly string[];
  readonly body: string;
  readonly trailers: string;
  readonly end: number;
}

export const usualQuietMs = 300;
const probe = Buffer.from("GET /probe HTTP/1.1\r\nHost: probe.test\r\n\r\n");

export async function runHttp1(
  port: number,
  { bytes, requests = 1, bodiless = false, from, probes = true, quietMs = usualQuietMs }: Http1Case,
): Promise<Http1Result> {
  const socket = connect({
    port,
    host: from === undefined ? "127.0.0.1" : serverAddressFor(from),
    ...(from === undefined ? {} : { localAddress: from }),
    noDelay: true,
  });
  const incoming = new Incoming(socket);
  socket.write(bytes);
  const answers: ParsedAnswer[] = [];
  const interim: string[] = [];
  let at = 0;
  while (answers.length < requests) {
    const next = parseAnswer(incoming.text, at, bodiless, incoming.ended);
    if (next === undefined) {
      if (incoming.ended || !(await incoming.more(quietMs))) break;
      continue;
    }
    at = next.end;
    if (next.status >= 100 && next.status < 200 && next.status !== 101) interim.push(String(next.status));
    else answers.push(next);
  }
  const [last] = answers.slice(-1);
  const connection = announcesClose(last)
    ? "ends"
    : !probes && answers.length === requests
      ? "goes on"
      : await afterwards(incoming, at, answers.length === requests, quietMs);
  socket.destroy();
  return {
    answers: [...interim, ...answers.map(({ status }) => String(status))],
    connection,
    answer: last === undefined ? "" : answerText(last.fields, last.body, last.trailers),
  };
}

/** Envoy closes a connection that it has given up only after a second, in which it answers nothing. */
function announcesClose(answer: ParsedAnswer | undefined): boolean {
  return answer?.fields.some((field) => /^connection:\s*close$/i.test(field)) === true;
}

/** An address of the listener in the client's network, so that the proxy sees the client's own address. */
function serverAddressFor(from: string): string {
  return from.replace(/\d+$/, "254");
}

async function afterwards(
  incoming: Incoming,
  from: number,
  answered: boolean,
  quietMs: number,
): Promise<Http1Result["connection"]> {
  if (incoming.ended) return "ends";
  if (!answered) return "waits";
  if (incoming.text.length > from) return "goes on";
  incoming.socket.write(probe);
  for (;;) {
    if (parseAnswer(incoming.text, from, false, incoming.ended) !== undefined) return "goes on";
    if (incoming.ended) return "ends";
    if (!(await incoming.more(quietMs))) return incoming.ended ? "ends" : "waits";
  }
}

class Incoming {
  text = "";
  ended = false;
  readonly socket: Socket;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.text += chunk.toString("latin1");
      this.#wake();
    });
    const end = (): void => {
      this.ended = true;
      this.#wake();
    };
    socket.on("end", end).on("close", end).on("error", end);
  }

  /** Waits for further bytes or the end. False if neither has come within the limit. */
  async more(limitMs: number): Promise<boolean> {
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), limitMs);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = () => undefined;
        resolve(true);
      };
    });
  }
}

function parseAnswer(text: string, at: number, bodiless: boolean, ended: boolean): ParsedAnswer | undefined {
  const end = text.indexOf("\r\n\r\n", at);
  if (end < 0) return undefined;
  const [line = "", ...fields] = text.slice(at, end).split("\r\n");
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(line)?.[1] ?? "0");
  const valueOf = (name: string): string | undefined =>
    fields
      .find((field) => field.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  const start = end + 4;
  const none = { status, fields, body: "", trailers: "" };
  if (bodiless || status < 200 || status === 204 || status === 304) return { ...none, end: start };
  if (/chunked/i.test(valueOf("transfer-encoding") ?? "")) return parseChunked(text, start, { status, fields });
  const length = valueOf("content-length");
  if (length === undefined) return ended ? { ...none, body: text.slice(start), end: text.length } : undefined;
  const last = start + Number(length);
  return text.length >= last ? { ...none, body: text.slice(start, last), end: last } : undefined;
}

function parseChunked(
  text: string,
  start: number,
  head: Pick<ParsedAnswer, "status" | "fields">,
): ParsedAnswer | undefined {
  let at = start;
  let body = "";
  for (;;) {
    const end = text.indexOf("\r\n", at);
    if (end < 0) return undefined;
    const line = text.slice(at, end);
    if (line.includes(";")) body += `<${line.slice(line.indexOf(";"))}>`;
    const size = Number.parseInt(line, 16);
    if (!(size > 0)) {
      if (text.startsWith("\r\n", end + 2)) return { ...head, body, trailers: "", end: end + 4 };
      const last = text.indexOf("\r\n\r\n", end);
      return last < 0 ? undefined : { ...head, body, trailers: text.slice(end + 2, last), end: last + 4 };
    }
    body += text.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
    if (at > text.length) return undefined;
  }
}

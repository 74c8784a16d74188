// A proxy between a browser and the dashboard's server. It adds a text, such as markup, to every name, label,
// annotation and log line that passes.
import { createServer, request as ask, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { StringDecoder } from "node:string_decoder";
import { text } from "node:stream/consumers";

/** Markup that would run a script if the page did not escape it. */
export const markup = `"><img src=x onerror=struck=1>`;
const longest = 245;
/**
 * Makes a text so long that with the longest word of the synthetic mesh, `frontend`, a name has 253 characters, which
 * is Kubernetes' maximum. The text is one word, so a line cannot break in it.
 */
export const padded = (text: string): string => `${text}-`.padEnd(longest, "n");

interface AddedText {
  readonly plain: string;
  readonly inJson: string;
  /** The text as it is encoded in paths, in query parameters, and in topics within these. */
  readonly encodings: readonly string[];
}

function addedText(plain: string): AddedText {
  return {
    plain,
    inJson: JSON.stringify(plain).slice(1, -1),
    encodings: [plain, new URLSearchParams({ a: plain }).toString().slice(2)].flatMap((one) => [
      encodeURIComponent(encodeURIComponent(one)),
      encodeURIComponent(one),
      one,
    ]),
  };
}

/** The words in the synthetic mesh's names, hosts and lines. The page's own protocol has none of them. */
const words = /(?<![a-z])(?:shop|frontend|checkout|cart|request(?= \d))(?![a-z])/g;

export interface MarkupRelay extends AsyncDisposable {
  readonly url: string;
}

/** Starts a relay that appends the text to every name that begins with one of the words. */
export async function startMarkupRelay(upstream: string, text: string): Promise<MarkupRelay> {
  const added = addedText(text);
  const server: Server = createServer((request, response) => void relay(new URL(upstream), added, request, response));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Adds the text to a link, encoded as in the page's links. */
export function markedLink(link: string, text: string): string {
  return link.replace(words, (word) => word + encodeURIComponent(text));
}

async function relay(
  upstream: URL,
  added: AddedText,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? "/", upstream);
  const path = without(added, request.url ?? "/");
  const topics = url.searchParams.getAll("topic");
  const body = (await text(request)).replaceAll(added.inJson, "");
  const headers = { ...request.headers, host: upstream.host, "accept-encoding": "identity" };
  delete headers["content-length"];
  if (headers.origin !== undefined) headers.origin = upstream.origin;
  if (headers.referer !== undefined) headers.referer = upstream.href;
  const outgoing = ask(new URL(path, upstream), { method: request.method ?? "GET", headers }, (answer) => {
    const { "content-length": _length, ...rest } = answer.headers;
    response.writeHead(answer.statusCode ?? 502, rest);
    const type = answer.headers["content-type"] ?? "";
    const isPlain = type.startsWith("text/plain");
    if (!isPlain && !/json|event-stream/.test(type)) return void answer.pipe(response);
    const mark = (line: string): string => marked(line, added, isPlain ? added.plain : added.inJson, topics);
    const decoder = new StringDecoder("utf8");
    let left = "";
    // Forwards whole lines only. Each event of a stream is one line.
    answer.on("data", (chunk: Buffer) => {
      const lines = (left + decoder.write(chunk)).split("\n");
      left = lines.pop() ?? "";
      for (const line of lines) response.write(`${mark(line)}\n`);
    });
    answer.on("end", () => response.end(mark(left)));
  });
  outgoing.on("error", () => response.destroy());
  response.on("close", () => outgoing.destroy());
  outgoing.end(body);
}

function without({ encodings }: AddedText, text: string): string {
  return encodings.reduce((left, encoded) => left.replaceAll(encoded, ""), text);
}

/** Adds the text to a line. Topics keep the names under which the page has requested them. */
function marked(line: string, added: AddedText, suffix: string, [topic, ...others]: readonly string[]): string {
  if (topic === undefined) return line.replace(words, (word) => word + suffix);
  return line
    .split(JSON.stringify(without(added, topic)))
    .map((part) => marked(part, added, suffix, others))
    .join(JSON.stringify(topic));
}

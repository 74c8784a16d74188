// Stands between a browser and the dashboard's server, and writes markup into every name, label, annotation and line that passes.
import { createServer, request as ask, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { StringDecoder } from "node:string_decoder";
import { text } from "node:stream/consumers";

/** It closes an attribute and an element, and would load and run something. */
export const markup = `"><img src=x onerror=struck=1>`;
const inJson = JSON.stringify(markup).slice(1, -1);

/** As paths, fields of queries, and topics within them have it. */
const encodings = [markup, new URLSearchParams({ a: markup }).toString().slice(2)].flatMap((one) => [
  encodeURIComponent(encodeURIComponent(one)),
  encodeURIComponent(one),
  one,
]);

/** Of what the synthetic mesh's names, hosts and lines are made. None is a word of the page's own contract. */
const words = /(?<![a-z])(?:shop|frontend|checkout|cart|request(?= \d))(?![a-z])/g;

export interface MarkupRelay extends AsyncDisposable {
  readonly url: string;
}

/** Names that begin with one of the words have the markup behind it. */
export async function startMarkupRelay(upstream: string): Promise<MarkupRelay> {
  const server: Server = createServer((request, response) => void relay(new URL(upstream), request, response));
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

/** As the page's links have it. */
export function markedLink(link: string): string {
  return link.replace(words, (word) => word + encodeURIComponent(markup));
}

async function relay(upstream: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const asked = new URL(request.url ?? "/", upstream);
  const path = plain(request.url ?? "/");
  const topics = asked.searchParams.getAll("topic");
  const body = (await text(request)).replaceAll(inJson, "");
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
    const mark = (line: string): string => marked(line, isPlain ? markup : inJson, topics);
    const decoder = new StringDecoder("utf8");
    let left = "";
    // A line is never cut: of a stream of events each has its line.
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

function plain(text: string): string {
  return encodings.reduce((left, encoded) => left.replaceAll(encoded, ""), text);
}

/** The names of topics come back as the page asked for them. */
function marked(line: string, suffix: string, [topic, ...others]: readonly string[]): string {
  if (topic === undefined) return line.replace(words, (word) => word + suffix);
  return line
    .split(JSON.stringify(plain(topic)))
    .map((part) => marked(part, suffix, others))
    .join(JSON.stringify(topic));
}

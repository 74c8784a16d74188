import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import type { UpstreamRequest } from "./recording-upstream.ts";

export interface Outcome {
  /** The statuses, in their order. For a stream or connection that has ended without an answer, how it has ended. */
  readonly answers: readonly string[];
  readonly upstream: readonly UpstreamRequest[];
  /** Whether the connection still answers a plain request. */
  readonly connection: "goes on" | "ends" | "waits";
  readonly answer?: string;
}

/** Joins fields of the same name. They mean the same as one field with a list. */
function joined(fields: readonly string[]): string[] {
  const byName = Map.groupBy(fields, (field) => field.slice(0, field.indexOf(":")));
  return [...byName].map(
    ([name, values]) =>
      `${name}: ${values
        .map((field) => field.slice(name.length + 2))
        .filter((value) => value !== "")
        .join(",")}`,
  );
}

/** Fields that depend on the hop, on the time or on the proxy's build. */
const ofTheHop = /^(x-request-id|x-envoy-expected-rq-timeout-ms|x-envoy-peer-metadata(-id)?|connection):/i;
const ofTheAnswersHop = /^(date|server|x-envoy-upstream-service-time|connection|x-envoy-peer-metadata(-id)?):/i;

function sorted(fields: readonly string[], left: RegExp): string[] {
  const lines = fields
    .filter((field) => !left.test(field))
    .map((field) => {
      const colon = field.indexOf(":");
      return `${field.slice(0, colon).toLowerCase()}: ${field.slice(colon + 1).trim()}`;
    });
  return joined(lines).sort();
}

const decompressors: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: gunzipSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

/** The body, decompressed: the proxies' libraries compress the same text to different bytes. */
function readable(fields: readonly string[], body: string): string {
  const [, coding = ""] = fields.map((field) => /^content-encoding:\s*(\w+)$/i.exec(field)).find(Boolean) ?? [];
  const decompress = decompressors[coding];
  if (decompress === undefined) return body;
  try {
    return `${coding} of ${decompress(Buffer.from(body, "latin1")).toString("latin1")}`;
  } catch {
    return body;
  }
}

/** The outcome as texts, which are equal if the proxies have behaved in the same way. */
export function normalForm(outcome: Outcome): Record<string, string> {
  return {
    answers: outcome.answers.join(" "),
    connection: outcome.connection,
    upstream: outcome.upstream
      .map(({ line, fields, body, trailers, complete }) =>
        [
          line,
          ...sorted(fields, ofTheHop),
          `body ${JSON.stringify(readable(fields, body))}`,
          `trailers ${JSON.stringify(trailers)}`,
          complete ? "whole" : "cut",
        ].join("\n"),
      )
      .join("\n--\n"),
    answer: outcome.answer ?? "",
  };
}

export function answerText(fields: readonly string[], body: string, trailers: string): string {
  return [
    ...sorted(fields, ofTheAnswersHop),
    `body ${JSON.stringify(readable(fields, body))}`,
    `trailers ${JSON.stringify(trailers)}`,
  ].join("\n");
}

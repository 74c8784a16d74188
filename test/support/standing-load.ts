// Requests and long streams by curl from pods, while something changes. No request is repeated, and none may fail.
import assert from "node:assert/strict";
import type { Walkthrough } from "./walkthrough.ts";

export interface StandingLoadOptions {
  /** What `kubectl exec` takes, for example `deploy/sleep` or `-n shop deploy/sleep`. */
  readonly clients: readonly string[];
  /** Requested over connections that are kept, and over new ones. */
  readonly url: string;
  /**
   * The host of `samples/streams`, which serves a download and a TCP stream, and how long both last at least. They go
   * on until the change is over.
   */
  readonly streams: { readonly host: string; readonly seconds: number };
}

const limitMs = 420_000;
/** How many lines a stream must still deliver after the change. */
const linesAfterwards = 5;
/** The time limit for these lines, in tenths of a second. */
const patienceTenths = 200;

/**
 * Runs the body under load, and returns the number of requests. Throws for an answer other than 200, and for a stream
 * that was cut off.
 */
export async function underStandingLoad(
  guide: Walkthrough,
  { clients, url, streams }: StandingLoadOptions,
  body: () => Promise<void>,
): Promise<number> {
  const { host, seconds } = streams;
  const run = async (line: string): Promise<string> => {
    const { code, output } = await guide.lab.shell(line, { timeoutMs: limitMs });
    assert.equal(code, 0, `${line}\n${output}`);
    return output;
  };
  await Promise.all(clients.map(async (client) => await run(`kubectl exec ${client} -- rm -f /tmp/stop`)));
  const code = `-s -o /dev/null -w "%{http_code}%{errormsg}\\n"`;
  const until = (client: string, line: string): Promise<string> =>
    run(`kubectl exec ${client} -- sh -c 'while [ ! -f /tmp/stop ]; do ${line}; done'`);
  const loads = clients.flatMap((client) => [
    until(client, `curl ${code} -m 9 --rate 5/s "${url}?[1-10]"`),
    // To start a curl takes ten times the CPU time of a request, so each sends five, each over a new connection.
    until(client, `curl ${code} -m 5 --rate 5/s -H "Connection: close" "${url}?[1-5]"`),
  ]);
  const hear = (client: string, line: string): Promise<string> =>
    run(`kubectl exec ${client} -- sh -c '${streamScript(line, seconds)}'`);
  // No client listens for this long, so a stream that ends by itself was cut off.
  const longest = seconds + 300;
  const downloads = clients.map((client) =>
    hear(client, `curl -sN -m ${longest} "http://${host}:8080/download?seconds=${longest}"`),
  );
  const numbers = "(i=0; while sleep 0.5; do i=$((i+1)); echo $i; done)";
  const echoes = clients.map((client) => hear(client, `${numbers} | curl -sN -m ${longest} telnet://${host}:9000`));
  const all = Promise.all([Promise.all(loads), Promise.all(downloads), Promise.all(echoes)]);
  // If the body throws too, its error counts.
  all.catch(() => undefined);
  try {
    await body();
  } finally {
    await Promise.all(clients.map(async (client) => await run(`kubectl exec ${client} -- touch /tmp/stop`)));
  }
  const [answers, downloaded, echoed] = await all;
  const codes = answers.join("").trim().split("\n");
  assert.deepEqual(
    codes.filter((one) => one !== "200"),
    [],
  );
  for (const text of downloaded) expectWhole(text, (index) => `line ${index} `);
  for (const text of echoed) expectWhole(text, (index) => `echo ${index + 1}`);
  return codes.length;
}

/**
 * A script that reads a stream until the change is over or the time has passed, and then some more lines. It prints how
 * the stream has ended, and what it has read.
 */
function streamScript(line: string, seconds: number): string {
  const more = `[ $(wc -l < $f) -lt $((n+${linesAfterwards})) ]`;
  return [
    `f=$(mktemp); ${line} > $f & pid=$!; t=0`,
    `while [ ! -f /tmp/stop ] && [ $t -lt ${seconds * 5} ]; do sleep 0.2; t=$((t+1)); done`,
    `n=$(wc -l < $f); t=0`,
    `while ${more} && [ $t -lt ${patienceTenths} ]; do sleep 0.1; t=$((t+1)); done`,
    `{ kill $pid; wait $pid; code=$?; } 2> /dev/null; echo "ended by $code, $n lines before"; cat $f; rm $f`,
  ].join("; ");
}

/**
 * Checks that no line is missing, that lines have come after the change, and that only the client has ended the stream.
 */
function expectWhole(text: string, start: (index: number) => string): void {
  const [verdict = "", ...lines] = text.split("\n");
  const [, before = ""] = /^ended by 143, (\d+) lines before$/.exec(verdict) ?? assert.fail(text.slice(0, 300));
  // The last line may be incomplete.
  lines.pop();
  assert.ok(lines.length >= Number(before) + linesAfterwards, `${verdict}, ${lines.length} in all`);
  const wrong = lines.findIndex((one, index) => !one.startsWith(start(index)));
  assert.equal(wrong, -1, `line ${wrong}: ${lines[wrong]?.slice(0, 100) ?? ""}`);
}

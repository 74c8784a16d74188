// A load generator: one process with two groups of clients, which reports one line of JSON at a time on standard
// output. It runs in the lab's host namespace, so it reaches the gateway at the gateway's own address. It never retries
// a request.
//   node load-client.ts <url> <kept-alive clients> <new-connection clients> <shortest time between requests, ms>
//                       [header: value] [text that every response contains]
//                       [regular expression whose first group names the server]
// The shortest time is that from one request of a client to its next. A line on standard input changes it.
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import { shownCharacters } from "../../samples/load-generator/ask-once.ts";

const [
  url = "",
  keptAlive = "4",
  fresh = "4",
  pauseText = "100",
  header = "",
  expected = "<title>Simple Bookstore App</title>",
  answerPattern = "",
] = process.argv.slice(2);
const target = new URL(url);
let pauseMs = Number(pauseText);
/** The time after which a request is counted as lost. Even on a busy machine, a page takes less. */
const limitMs = 10_000;
const reportEveryMs = 100;
/**
 * A client rests at least this many times as long as its last request took. So the load leaves the processors of a slow
 * machine to the demo. On a fast machine, the pause alone limits the load.
 */
const restRatio = 4;
const maxRunMs = 900_000;

export interface LoadFailure {
  readonly at: string;
  readonly path: string;
  readonly cause: string;
  readonly group: string;
}

/** One line of output: what happened since the previous line. */
export interface LoadReport {
  requests: number;
  /** The number of responses of each server, by the server's `namespace/version`. */
  answers: Record<string, number>;
  failures: LoadFailure[];
  /** The response time of each request, in milliseconds. */
  latenciesMs: number[];
}

let report: LoadReport = emptyReport();
let stopping = false;

function emptyReport(): LoadReport {
  return { requests: 0, answers: {}, failures: [], latenciesMs: [] };
}

/**
 * Returns the namespace and version of the reviews on the page, read from the pod's name. With a pattern, returns the
 * text that its first group matches.
 */
function servedBy(body: string): string {
  if (answerPattern !== "") return new RegExp(answerPattern).exec(body)?.[1] ?? "?";
  const [, pod = ""] = /Reviews served by:<\/dt>\s*<dd>([^<]*)<\/dd>/.exec(body) ?? [];
  const [, namespace = ""] = /Cluster:<\/dt>\s*<dd>([^<]*)<\/dd>/.exec(body) ?? [];
  const [, version = "?"] = /^reviews-(v\d+)-/.exec(pod) ?? [];
  return `${namespace}/${version}`;
}

function headers(): Record<string, string> {
  const colon = header.indexOf(":");
  return colon === -1 ? {} : { [header.slice(0, colon).trim()]: header.slice(colon + 1).trim() };
}

function once(group: string, agent: Agent | false): Promise<void> {
  return new Promise((resolve) => {
    const started = performance.now();
    let done = false;
    const finish = (failure: string | undefined, answer?: string): void => {
      if (done) return;
      done = true;
      report.requests += 1;
      report.latenciesMs.push(Math.round(performance.now() - started));
      if (failure !== undefined)
        report.failures.push({ at: new Date().toISOString(), path: target.pathname, cause: failure, group });
      else if (answer !== undefined) report.answers[answer] = (report.answers[answer] ?? 0) + 1;
      resolve();
    };
    const outgoing = request(target, { agent, headers: headers(), timeout: limitMs }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("error", (error) => finish(error.message));
      response.on("end", () => {
        const status = response.statusCode ?? 0;
        if (status >= 500) finish(`status ${status}: ${body.slice(0, shownCharacters)}`);
        else if (!body.includes(expected))
          finish(`the wrong body (status ${status}): ${body.slice(0, shownCharacters)}`);
        else finish(undefined, servedBy(body));
      });
    });
    const timer = setTimeout(() => {
      finish(`no whole answer in ${limitMs} ms`);
      outgoing.destroy();
    }, limitMs);
    outgoing.on("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    outgoing.on("close", () => {
      clearTimeout(timer);
      finish("closed before the answer");
    });
    outgoing.end();
  });
}

async function client(group: string, agent: Agent | false): Promise<void> {
  // oxlint-disable-next-line no-unmodified-loop-condition -- set by the end of standard input and by SIGTERM
  while (!stopping) {
    const started = performance.now();
    await once(group, agent);
    const tookMs = performance.now() - started;
    const restMs = Math.max(pauseMs - tookMs, tookMs * restRatio);
    await new Promise((resolve) => setTimeout(resolve, restMs));
  }
}

function flush(): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
  report = emptyReport();
}

const timer = setInterval(flush, reportEveryMs);
setTimeout(() => {
  stopping = true;
}, maxRunMs).unref();
createInterface({ input: process.stdin })
  .on("line", (line) => {
    pauseMs = Number(line);
  })
  .on("close", () => {
    stopping = true;
  });
process.on("SIGTERM", () => {
  stopping = true;
});

const groups: Promise<void>[] = [];
for (let index = 0; index < Number(keptAlive); index += 1)
  groups.push(client("kept-alive", new Agent({ keepAlive: true, maxSockets: 1 })));
for (let index = 0; index < Number(fresh); index += 1) groups.push(client("new-connection", false));
await Promise.all(groups);
clearInterval(timer);
flush();
process.exit(0);

// Constant load from one process: short requests over kept-alive and new connections, and long connections. It never
// retries. A request has failed if it is refused, reset, over the time limit, or answered with status 500 or above or
// with the wrong body.
//   node load-generator.ts '<JSON of a LoadPlan>'
import { mkdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { grpcClient } from "./grpc-client.ts";
import { httpClient } from "./http-client.ts";
import { hurryFile, type ConnectionTarget, type LoadPlan, type RequestTarget } from "./load-plan.ts";
import { LoadRecord } from "./load-record.ts";
import { hold } from "./long-connection.ts";

const reportEveryMs = 250;
const reopenAfterMs = 500;
const clients = { http: httpClient, grpc: grpcClient } as const;

const plan = JSON.parse(process.argv[2] ?? "{}") as LoadPlan;
mkdirSync(plan.reportDirectory, { recursive: true });
const record = new LoadRecord(
  join(plan.reportDirectory, `${plan.name ?? process.env["HOSTNAME"] ?? hostname()}.jsonl`),
);
const stopping = new AbortController();
let podEnds = false;
/** The factor by which the clients now send more requests than planned. */
let hurry = 1;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

/** Returns the number in the file that asks for more requests, or 1 without the file. */
function wantedHurry(): number {
  try {
    return Math.max(1, Number(readFileSync(join(plan.reportDirectory, hurryFile), "utf8")) || 1);
  } catch {
    return 1;
  }
}

/**
 * Rests until a client's next request. The request begins `everyMs` after the client's last one, or sooner if the
 * clients must hurry.
 */
async function rest(startedMs: number, everyMs: number): Promise<void> {
  while (!stopping.signal.aborted) {
    const leftMs = everyMs / hurry - (performance.now() - startedMs);
    if (leftMs <= 0) return;
    await sleep(Math.min(leftMs, reportEveryMs));
  }
}

async function request(target: RequestTarget, group: "kept-alive" | "new-connection", everyMs: number): Promise<void> {
  const ask = clients[target.protocol](target, group === "kept-alive", plan.limitMs);
  // The clients of a target start one after another, so that they do not send in step.
  await rest(performance.now(), Math.random() * everyMs);
  while (!stopping.signal.aborted) {
    const started = performance.now();
    try {
      const who = await ask();
      record.answered(target.name, performance.now() - started, who);
    } catch (error) {
      record.failed(
        target.name,
        performance.now() - started,
        group,
        error instanceof Error ? error.message : String(error),
      );
    }
    await rest(started, everyMs);
  }
}

async function connection(target: ConnectionTarget, index: number): Promise<void> {
  // Spread the first ends of connections over their lifetime.
  let seconds = (target.seconds * (index + 1)) / target.count;
  while (!stopping.signal.aborted) {
    const started = performance.now();
    record.connection(target.name).open += 1;
    const { how, cause } = await hold(target, {
      seconds,
      messageEveryMs: target.messageEveryMs,
      signal: stopping.signal,
    });
    const counts = record.connection(target.name);
    counts.open -= 1;
    if (stopping.signal.aborted) {
      if (podEnds) counts.endedWithPod += 1;
      return;
    }
    if (how === "ended") counts.ended += 1;
    if (how === "goodbye") counts.endedWithPod += 1;
    if (how === "closed") counts.closed += 1;
    if (how === "closed") record.note(target.name, "closed-connection", cause);
    if (how === "refused") record.failed(target.name, performance.now() - started, "connection", cause);
    seconds = target.seconds;
    if (how !== "ended") await sleep(reopenAfterMs);
  }
}

process.on("SIGTERM", () => {
  podEnds = true;
  stopping.abort();
});
if (plan.untilInputEnds === true) process.stdin.on("end", () => stopping.abort()).resume();

const timer = setInterval(() => {
  record.flush();
  hurry = wantedHurry();
}, reportEveryMs);
const running: Promise<void>[] = [];
for (const target of plan.requests) {
  const everyMs = ((target.keptAlive + target.newConnections) * 1000) / target.perSecond;
  for (let index = 0; index < target.keptAlive; index += 1) running.push(request(target, "kept-alive", everyMs));
  for (let index = 0; index < target.newConnections; index += 1)
    running.push(request(target, "new-connection", everyMs));
}
for (const target of plan.connections)
  for (let index = 0; index < target.count; index += 1) running.push(connection(target, index));
process.stdout.write(
  `load-generator asks ${plan.requests.map(({ name }) => name).join(", ")} and holds ${plan.connections.map(({ name }) => name).join(", ")}\n`,
);
await Promise.all(running);
clearInterval(timer);
record.flush();
process.exit(0);

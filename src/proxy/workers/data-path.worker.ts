import { randomFillSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import { parentPort, workerData } from "node:worker_threads";
import {
  containErrors,
  containingClock,
  createLogger,
  logContained,
  logFormatVariable,
  setLogFormat,
  giveBackIdleMemory,
  invariant,
  messageOf,
  systemClock,
  systemRandom,
  type LogThreshold,
} from "../../base/index.ts";
import { ThreadCalls } from "../../base/workers/index.ts";
import {
  addRevocationMetrics,
  followRevocations,
  heldInput,
  ReceivedCertificates,
  restoreCertificate,
  RevocationLists,
  type XdsUpdate,
} from "../../dataplane/index.ts";
import { MetricsRegistry, snapshotOf } from "../../telemetry/index.ts";
import { DataPath } from "../data-path.ts";
import { heldBodies } from "../http/bodies/held-bodies.ts";
import { randomUuids } from "../terms/random-id.ts";
import { readCertificateFile } from "../tls/bounded-file.ts";
import { sharedListen } from "./shared-listen.ts";
import type { ProcessCalls, UpdateOutcome, WorkerCalls, WorkerStart } from "./worker-calls.ts";
import { WorkerLimits } from "./worker-limits.ts";

invariant(parentPort !== null, "a worker runs in a thread of its own");
const port = parentPort;
const { settings, startedMs, logLevel, worker, limits } = workerData as WorkerStart;
const threshold: LogThreshold = { level: logLevel };
if (process.env[logFormatVariable] === "json") setLogFormat({ messageKey: "msg" });
const log = createLogger({ scope: "worker", level: threshold });
const clock = containingClock(systemClock);
containErrors(logContained(log, clock));
heldInput.shareAmong(limits.workers);
heldBodies.shareAmong(limits.workers);
const registry = new MetricsRegistry({ clock });
const certificates = new ReceivedCertificates(() => clock.nowMs());
const revocations =
  settings.meshRevocationsFile === undefined ? undefined : new RevocationLists(addRevocationMetrics(registry));
const forced = new AbortController();
const ended = new AbortController();

const dataPath = new DataPath({
  settings,
  certificates,
  registry,
  listen: sharedListen(),
  resolve: (name, client) => calls.call("resolve", { name, client }),
  readFile: readCertificateFile,
  newRequestId: randomUuids((bytes) => randomFillSync(bytes)),
  log,
  clock,
  random: systemRandom,
  startedMs,
  shared: new WorkerLimits({
    memory: limits,
    worker,
    ejected: (ejection) => void calls.call("ejected", ejection).catch(() => undefined),
  }),
});
let names = new Map<string, readonly string[]>();
/**
 * The number of updates in progress. The outcome of an update reports the wanted names, so they are not reported
 * separately meanwhile.
 */
let taking = 0;
dataPath.attach({
  setNames: (typeUrl, wanted) => {
    names.set(typeUrl, [...wanted]);
    if (taking === 0) void calls.call("need", takeNames()).catch(() => undefined);
  },
});
const subscriptions = new Map(dataPath.subscriptions().map((subscription) => [subscription.typeUrl, subscription]));

function takeNames(): UpdateOutcome["names"] {
  const taken = names;
  names = new Map();
  return taken;
}

async function take(update: XdsUpdate): Promise<UpdateOutcome> {
  let error: string | undefined;
  taking += 1;
  try {
    await subscriptions.get(update.typeUrl)?.apply(update);
  } catch (thrown) {
    error = messageOf(thrown);
  }
  taking -= 1;
  return { error, names: takeNames() };
}

const calls = new ThreadCalls<ProcessCalls, WorkerCalls>(port, {
  update: take,
  certify: (parts) => {
    certificates.receive(restoreCertificate(parts, { compliance: settings.compliance, revocations }));
    dataPath.certify();
  },
  setLogLevel: (level) => void (threshold.level = level),
  status: () => dataPath.status(),
  failHealthChecks: (fails) => dataPath.failHealthChecks(fails),
  drain: (inboundOnly) => dataPath.drain(inboundOnly),
  closeUnused: () => dataPath.closeUnused(),
  stopListening: () => dataPath.stopListening(),
  closeQuiet: (quietMs) => dataPath.closeQuiet(quietMs),
  closeAll: () => dataPath.closeAll(),
  end: async () => {
    await dataPath.end(forced.signal);
    ended.abort();
  },
  force: () => forced.abort(),
  eject: (ejection) => dataPath.eject(ejection),
  live: () => undefined,
  owns: ({ remotePort, localPort }) => dataPath.owns(remotePort, localPort),
  answer: (target) => dataPath.answer(target),
  clusters: () => dataPath.clusters(),
  statistics: () => dataPath.statistics(),
  metrics: () => snapshotOf(registry),
});

dataPath.start();
if (revocations !== undefined && settings.meshRevocationsFile !== undefined)
  void followRevocations(
    {
      path: settings.meshRevocationsFile,
      readFile,
      revocations,
      optional: true,
      clock,
      log: log.scoped("identity"),
    },
    ended.signal,
  );
giveBackIdleMemory();

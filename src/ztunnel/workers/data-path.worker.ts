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
  silentLogger,
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
} from "../../dataplane/tunnels/index.ts";
import { adoptTcp, closeDescriptor, duplicateDescriptor, shareOwnNamespace } from "../../net/index.ts";
import { AccessLog, fileSink, MetricsRegistry, snapshotOf } from "../../telemetry/index.ts";
import { absolutePath } from "../config.ts";
import { DataPath } from "../data-path.ts";
import type { AddedPod } from "../proxy/served-pods.ts";
import { RequestedCertificates } from "./requested-certificates.ts";
import { ShareMemory } from "./share-memory.ts";
import { WorkerShare } from "./worker-share.ts";
import type { OfferedConnection, ProcessCalls, WorkerCalls, WorkerStart } from "./worker-calls.ts";

/** The time in milliseconds for which log lines are collected. Each write wakes the main thread, which performs it. */
const logFlushMs = 100;

invariant(parentPort !== null, "a worker runs in a thread of its own");
const port = parentPort;
const { config, nameservers, logLevel, worker, share: memory, ownNamespaceFd } = workerData as WorkerStart;
shareOwnNamespace(ownNamespaceFd);
const clock = containingClock(systemClock);
heldInput.shareAmong(config.workerThreads);
const threshold: LogThreshold = { level: logLevel };
if (process.env[logFormatVariable] === "json") setLogFormat({ messageKey: "message" });
const lines = new AccessLog({ sink: fileSink("/dev/stderr"), clock, flushIntervalMs: logFlushMs });
const logOptions = { scope: "ztunnel", level: threshold };
const log = createLogger({ ...logOptions, write: (line, level) => lines.logLine(line, level) });
/** Log lines of connections are collected too, even errors, because clients can cause many of them. */
const connectionLog = createLogger({ ...logOptions, write: (line) => lines.line(line) });
containErrors(logContained(log, clock));
const registry = new MetricsRegistry({ clock });
const revocations =
  config.revocationsFile === undefined ? undefined : new RevocationLists(addRevocationMetrics(registry));
const received = new ReceivedCertificates(() => clock.nowMs());
const share = new ShareMemory(memory);
const ended = new AbortController();
let drains = false;

const dataPath = new DataPath({
  config,
  certificates: new RequestedCertificates(received, {
    need: async (identity) => await calls.call("needCertificate", identity),
    trouble: async (identity) => await calls.call("certificateTrouble", identity),
  }),
  // The main thread keeps the certificates of the pods' own identities.
  identities: { use: () => ({ [Symbol.dispose]: () => undefined }) },
  registry,
  nameservers,
  log,
  connectionLog,
  // The main thread logs how many connections all workers together have.
  drainLog: silentLogger,
  writeLine: (line) => lines.line(line),
  clock,
  random: systemRandom,
  onOpen: (open) => {
    share.setOpen(worker, open);
    if (drains) void calls.call("left", undefined).catch(() => undefined);
  },
  share: new WorkerShare(share, worker, async (offer) => await calls.call("offer", offer), clock),
});

/**
 * Resolves after the first attempt to read revocation lists. Pods are added after that, because the first handshake
 * needs the lists. Calls after which the main thread closes descriptors wait too, because a pod that is still to be
 * added copies these descriptors.
 */
const revocationsRead = Promise.withResolvers<void>();
if (revocations === undefined || config.revocationsFile === undefined) revocationsRead.resolve();
else
  void followRevocations(
    { path: absolutePath(config.revocationsFile), readFile, revocations, clock, log: log.scoped("identity") },
    ended.signal,
    revocationsRead.resolve,
  );

async function addPod({ uid, info, namespaceFd, listeners, itself = false }: AddedPod): Promise<string | undefined> {
  await revocationsRead.promise;
  const copies: number[] = [];
  const copy = (fd: number): number => {
    const own = duplicateDescriptor(fd);
    copies.push(own);
    return own;
  };
  let pod: AddedPod;
  try {
    pod = {
      uid,
      info,
      // Borrow this descriptor and do not copy it: if this worker dies, no code would close a copy. The main thread
      // keeps the descriptor open until no worker needs it.
      namespaceFd,
      borrowsNamespace: true,
      listeners: listeners.map(({ role, fd }) => ({ role, fd: copy(fd) })),
      itself,
    };
  } catch (error) {
    for (const fd of copies) closeDescriptor(fd);
    return messageOf(error);
  }
  try {
    await dataPath.add(pod);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function take({ uid, kind, fd, remote }: OfferedConnection): boolean {
  const pod = dataPath.pod(uid);
  if (pod?.state !== "serving") return false;
  const own = duplicateDescriptor(fd);
  let stream;
  try {
    stream = adoptTcp(own);
  } catch (error) {
    closeDescriptor(own);
    throw error;
  }
  if (stream.remote.address === remote.address && stream.remote.port === remote.port && pod.take(kind, stream))
    return true;
  stream.destroy();
  return false;
}

const calls = new ThreadCalls<ProcessCalls, WorkerCalls>(port, {
  mesh: (change) => dataPath.apply(change),
  certify: (parts) => received.receive(restoreCertificate(parts, { ...config.handshakes, revocations })),
  forget: (identity) => received.forget(identity),
  setLogLevel: (level) => void (threshold.level = level),
  addPod,
  removePod: async ({ uid, handedOver }) => {
    await revocationsRead.promise;
    dataPath.remove(uid, handedOver);
  },
  podClosed: async (uid) => await dataPath.closed(uid),
  take,
  connections: async () => await dataPath.connections(),
  pods: async () => await dataPath.pods(),
  metrics: () => snapshotOf(registry),
  drain: async () => {
    await revocationsRead.promise;
    drains = true;
    dataPath.drain();
  },
  idle: async () => await dataPath.idle(),
  abortAll: (reason) => dataPath.abortAll(new Error(reason)),
  end: async () => {
    await dataPath.end();
    ended.abort();
    await lines.flush();
  },
  live: () => undefined,
});
giveBackIdleMemory();
share.begin(worker);

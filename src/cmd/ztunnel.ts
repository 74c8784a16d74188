import { readFile } from "node:fs/promises";
import {
  containErrors,
  containingClock,
  createLogger,
  giveBackIdleMemory,
  logContained,
  messageOf,
  systemClock,
  systemRandom,
  unhurriedShare,
  userError,
} from "../base/index.ts";
import { machineBounds } from "../base/worker-count/index.ts";
import { FakeCertificateAuthority, IstioCertificateClient, type CertificateAuthority } from "../dataplane/index.ts";
import { AccessLog, fileSink } from "../telemetry/index.ts";
import {
  absolutePath,
  logLevelWarning,
  readConfig,
  readWorkerThreads,
  Ztunnel,
  type ZtunnelConfig,
  type ZtunnelOptions,
} from "../ztunnel/index.ts";
import { setTrafficFlags } from "./traffic-flags.ts";
import type { RoleContext } from "./role.ts";

/** `serin ztunnel`: the L4 data plane of one node, or of one pod in dedicated mode. */
export async function run(context: RoleContext): Promise<number> {
  const machine = await machineBounds();
  const workers = readWorkerThreads(context.env, machine);
  const { env, release, args } = context;
  const config = readConfig(env, release.version, args, workers.count, machine.maxDescriptors);
  // Lines are written in batches. On a busy node, a system call for each connection would cost noticeable time.
  const lines = new AccessLog({ sink: fileSink("/dev/stderr"), clock: systemClock, flushIntervalMs: 20 });
  const logThreshold = { level: config.logLevel };
  const log = createLogger({ scope: "ztunnel", level: logThreshold, write: (line) => lines.line(line) });
  for (const warning of [workers.warning, logLevelWarning(env)]) if (warning !== undefined) log.warn(warning);
  const authority = await certificateAuthority(config, context.env["FAKE_CA_ROOT"]);
  containErrors(logContained(log, systemClock));
  const ztunnel = new Ztunnel({
    config,
    authority,
    log,
    writeLine: (line) => lines.line(line),
    logThreshold,
    clock: containingClock(systemClock),
    random: systemRandom,
    ...(workers.count === 1 ? {} : { serve: await serveBy(workers.count) }),
  });
  setTrafficFlags();
  try {
    await ztunnel.run(context.shutdown);
  } finally {
    await lines.flush();
  }
  return 0;
}

/** Loads the code for worker threads only if there are several workers. */
async function serveBy(count: number): Promise<NonNullable<ZtunnelOptions["serve"]>> {
  const { spawnWorker, WorkerSet } = await import("../ztunnel/workers/index.ts");
  // This thread may pause to free memory, because the workers serve the connections.
  giveBackIdleMemory(unhurriedShare);
  return (data) => new WorkerSet({ count, spawn: spawnWorker, data });
}

async function certificateAuthority(
  config: ZtunnelConfig,
  sharedRoot: string | undefined,
): Promise<CertificateAuthority> {
  if (config.fakeCa)
    return new FakeCertificateAuthority(sharedRoot === undefined ? {} : { root: await readRoot(sharedRoot) });
  return new IstioCertificateClient({
    endpoint: {
      url: config.caAddress,
      rootCertificateFile: absolutePath(config.caRootCertificate),
      tokenFile: absolutePath(config.tokenFile),
      headers: { clusterid: config.clusterId },
      compliance: config.handshakes.compliance,
    },
    impersonate: true,
  });
}

/**
 * Reads the file in Serin's own variable FAKE_CA_ROOT: JSON with `keyPem` and `certificatePem`. Several fake CAs with
 * the same root trust each other.
 */
async function readRoot(path: string): Promise<{ readonly keyPem: string; readonly certificatePem: string }> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as { keyPem: string; certificatePem: string };
  } catch (error) {
    throw userError("file-unreadable", `cannot read the fake CA's root ${path}: ${messageOf(error)}`, { cause: error });
  }
}

import { randomFillSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  containErrors,
  containingClock,
  createLogger,
  envBoolean,
  giveBackIdleMemory,
  logContained,
  type Logger,
  type LogThreshold,
  systemClock,
  systemRandom,
  unhurriedShare,
} from "../base/index.ts";
import { machineBounds, workerCount } from "../base/worker-count/index.ts";
import { IstioCertificateClient } from "../dataplane/index.ts";
import { listenTcp } from "../net/index.ts";
import {
  podEndFolder,
  Proxy,
  randomUuids,
  readCertificateFile,
  readSettings,
  redirectMark,
  type ProxyOptions,
  type ProxySettings,
  connectionsPerThread,
} from "../proxy/index.ts";
import type { HostLookup } from "../dataplane/dns/index.ts";
import type { DnsCapture } from "../proxy/dns-capture/index.ts";
import { setTrafficFlags } from "./traffic-flags.ts";
import type { RoleContext } from "./role.ts";

const labelsPath = "/etc/istio/pod/labels";
const annotationsPath = "/etc/istio/pod/annotations";

/** `serin proxy router|sidecar|waypoint`: the L7 data plane. */
export async function run(context: RoleContext): Promise<number> {
  const { env, args, release, shutdown } = context;
  const [labelsFile, annotationsFile] = await Promise.all(
    [labelsPath, annotationsPath].map(async (path) => await readFile(path, "utf8").catch(() => undefined)),
  );
  const settings = readSettings({ env, args, version: release.version, labelsFile, annotationsFile });
  const authority = new IstioCertificateClient({
    endpoint: {
      url: settings.caUrl,
      ...(settings.caRootFile === undefined ? {} : { rootCertificateFile: settings.caRootFile }),
      tokenFile: settings.tokenFile,
      headers: { clusterid: settings.clusterId },
      compliance: settings.compliance,
    },
    impersonate: false,
  });
  const logThreshold: LogThreshold = { level: settings.logLevel };
  const log = createLogger({ scope: "proxy", level: logThreshold });
  // With DISABLE_ENVOY, Istio's agent runs without a proxy.
  if (envBoolean(env, "DISABLE_ENVOY", false)) {
    const { ProxylessAgent, readProxylessPaths } = await import("../proxy/proxyless/index.ts");
    const paths = readProxylessPaths(env);
    await new ProxylessAgent({ settings, paths, authority, clock: systemClock, log }).run(shutdown.drain);
    return 0;
  }
  const requestedWorkers = {
    setting: "concurrency",
    value: settings.concurrency,
    cpuLimit: Number(env["ISTIO_CPU_LIMIT"] ?? 0),
  };
  const machine = await machineBounds();
  const workers = workerCount(requestedWorkers, machine);
  if (workers.warning !== undefined) log.warn(workers.warning);
  const dns = settings.capturesDns ? await dnsCapture(settings, log.scoped("dns")) : undefined;
  containErrors(logContained(log, systemClock));
  const proxy = new Proxy({
    settings: {
      ...settings,
      maxConnectionsPerThread: connectionsPerThread(machine.maxDescriptors, workers.count),
    },
    authority,
    listen: listenTcp,
    resolve: dns === undefined ? resolveByFiles() : async (name, client) => await dns.resolve(name, client),
    ...(dns === undefined ? {} : { dns }),
    readFile: readCertificateFile,
    newRequestId: randomUuids((bytes) => randomFillSync(bytes)),
    log,
    logThreshold,
    clock: containingClock(systemClock),
    random: systemRandom,
    ...(settings.role === "sidecar" ? { podEndFolder } : {}),
    quit: () => void process.kill(process.pid, "SIGTERM"),
    ...(workers.count === 1 ? {} : { serve: await serveBy(workers.count) }),
  });
  setTrafficFlags();
  await proxy.run(shutdown);
  return 0;
}

const [resolverPath, hostsPath] = ["/etc/resolv.conf", "/etc/hosts"] as const;

/** Resolves host names. Loads the code at the first name, because most proxies resolve none. */
function resolveByFiles(): ProxyOptions["resolve"] {
  const load = async (): Promise<HostLookup> => {
    const { HostLookup, podDnsForwarder, readHostsFile, readResolverFile } = await import("../dataplane/dns/index.ts");
    const file = await readResolverFile(resolverPath);
    return new HostLookup({ forwarder: podDnsForwarder(file), file, readHosts: () => readHostsFile(hostsPath) });
  };
  let loaded: Promise<HostLookup> | undefined;
  return async (name, client) => await (await (loaded ??= load())).lookUp(name, client);
}

/** Loads the code for worker threads only if there are several workers. */
async function serveBy(count: number): Promise<NonNullable<ProxyOptions["serve"]>> {
  const { spawnWorker, WorkerSet } = await import("../proxy/workers/index.ts");
  // This thread may pause to free memory, because the workers serve the requests.
  giveBackIdleMemory(unhurriedShare);
  return (data) => new WorkerSet({ count, spawn: spawnWorker, data });
}

async function dnsCapture(settings: ProxySettings, log: Logger): Promise<DnsCapture> {
  const { podNamespace: namespace, domain, ports } = settings;
  const [{ DnsCapture }, { readHostsFile, readResolverFile }] = await Promise.all([
    import("../proxy/dns-capture/index.ts"),
    import("../dataplane/dns/index.ts"),
  ]);
  return new DnsCapture({
    namespace,
    domain,
    resolverFile: await readResolverFile(resolverPath),
    readHosts: () => readHostsFile(hostsPath),
    mark: redirectMark(settings),
    port: ports.dns,
    random: systemRandom,
    log,
  });
}

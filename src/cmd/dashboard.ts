// The dashboard on a user's own machine, with the user's kubeconfig. `serin dashboard` serves it if no pod does.
import {
  giveBackIdleMemory,
  joinHostPort,
  systemClock,
  unhurriedShare,
  type Environment,
  type Logger,
} from "../base/index.ts";
import {
  askFromWithin,
  askPodByApiServer,
  AuditLog,
  checkTopic,
  createDashboardReader,
  createHandlers,
  credentialsOf,
  DashboardServer,
  KubeconfigAccess,
  PageAssets,
  readPageFiles,
} from "../dashboard/index.ts";
import type { KubeConfig } from "../kube/index.ts";
import type { Release } from "./role.ts";

export interface LocalDashboardOptions {
  readonly kubeConfig: KubeConfig;
  readonly istioNamespace: string;
  /** See `ListenAddress`. */
  readonly host: string;
  readonly ports: readonly number[];
  readonly prometheusUrl: string | undefined;
  /** Called with an address that admits one browser. When a browser has used it, called with the next address. */
  readonly announce: (url: string, isFirst: boolean) => void;
  readonly env: Environment;
  readonly log: Logger;
  /** The log of the informers and of the requests to proxies. */
  readonly readerLog: Logger;
  readonly release: Release;
  readonly signal: AbortSignal;
}

/** Serves until the signal is aborted. Throws if the API server rejects the user, or if the port is in use. */
export async function serveLocalDashboard(options: LocalDashboardOptions): Promise<void> {
  const { kubeConfig, host, ports, prometheusUrl, announce, log, readerLog, release, signal } = options;
  const clock = systemClock;
  const cluster = `${kubeConfig.context} at ${kubeConfig.server}`;
  const ended = new AbortController();
  const until = AbortSignal.any([signal, ended.signal]);
  const own = credentialsOf(kubeConfig, { log, clock });
  const { client } = own;
  let listensOn = 0;
  const announceUrl = (isFirst: boolean): void =>
    announce(`http://${joinHostPort(dialled(host), listensOn)}/enter?secret=${access.secret}`, isFirst);
  const access: KubeconfigAccess = await KubeconfigAccess.open({
    own,
    cluster,
    namespace: kubeConfig.namespace,
    clock,
    users: { own: process.getuid?.() ?? 0, sudo: userId(options.env["SUDO_UID"]) },
    secretUsed: () => announceUrl(false),
  });
  const reader = createDashboardReader({
    client,
    clock,
    log: readerLog,
    askPod: askFromWithin(askPodByApiServer(client), kubeConfig),
    cluster,
    ...(prometheusUrl === undefined ? {} : { prometheusUrl }),
  });
  const audit = new AuditLog({ clock, log });
  const page = PageAssets.from(await readPageFiles());
  const server = new DashboardServer({
    page: async () => await Promise.resolve(page),
    root: "",
    access,
    // A session lasts as long as the command.
    sessionIdleMs: Infinity,
    sessionMs: Infinity,
    source: reader.views,
    handlers: createHandlers({
      measurements: reader.measurements,
      audit,
      clock,
      log,
      istioNamespace: options.istioNamespace,
      releaseDirectory: release.root,
      env: options.env,
      ended: until,
    }),
    checkTopic,
    audit,
    clock,
    log,
    version: release.version,
  });
  using _memory = giveBackIdleMemory(unhurriedShare);
  try {
    const listening = (port: number): void => {
      listensOn = port;
      announceUrl(true);
    };
    await Promise.all([reader.run(until), server.run({ host, ports }, until, listening)]);
  } finally {
    ended.abort();
    client.close();
  }
}

function userId(text = ""): number | undefined {
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

function dialled(host: string): string {
  return host === "" ? "localhost" : host;
}

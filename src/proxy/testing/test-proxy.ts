import { randomFillSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createLogger, seededRandom, ShutdownController, systemClock, type Clock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import type { CertificateAuthority } from "../../dataplane/index.ts";
import { listenTcp } from "../../net/index.ts";
import { freePort } from "../../net/testing/index.ts";
import { parsePrometheus, type PrometheusSample } from "../../telemetry/index.ts";
import { readSettings, type ProxySettings } from "../proxy-settings.ts";
import { Proxy, type ProxyOptions } from "../proxy.ts";
import { randomUuids } from "../terms/random-id.ts";
import { spawnWorker, WorkerSet } from "../workers/index.ts";
import { AdsServer } from "./ads-server.ts";
import { fetchOnce } from "./harness.ts";

/** Lines of `PROXY_CONFIG` for a proxy that has all of Envoy's statistics. */
export const everyStatistic = 'terminationDrainDuration: 0s\nproxyStatsMatcher: { inclusionRegexps: [".*"] }\n';

export interface TestProxyOptions {
  readonly name: string;
  readonly role: ProxySettings["role"];
  readonly address?: string;
  readonly authority: CertificateAuthority;
  readonly environment?: Readonly<Record<string, string>>;
  /** Lines of `PROXY_CONFIG`. The default ends the proxy as soon as it is quiet. */
  readonly proxyConfig?: string;
  /** The number of workers. By default 1, or the number that {@link workersOfRun} sets. */
  readonly workers?: number;
  /** Replaces the part that serves requests, instead of {@link workers}. */
  readonly serve?: NonNullable<ProxyOptions["serve"]>;
  readonly podEndFolder?: string;
  /** Resolves names to addresses. By default, every name resolves to this machine. */
  readonly resolve?: ProxyOptions["resolve"];
  /** The clock of a proxy without workers. Workers have their own clocks. */
  readonly clock?: Clock;
}

/** The default number of workers. A test of workers runs other tests again with another number. */
export const workersOfRun = Number(process.env["SERIN_TEST_WORKERS"] ?? 1);

/** The part that serves in a test's proxy: several workers, or a data path in this thread. */
export function servingOf(count = workersOfRun): Pick<ProxyOptions, "serve"> {
  return count === 1 ? {} : { serve: (data) => new WorkerSet({ count, spawn: spawnWorker, data }) };
}

/** A whole proxy in this process, with its own control plane. */
export class TestProxy implements AsyncDisposable {
  readonly shutdown = new ShutdownController();
  readonly ads: AdsServer;
  readonly ports: { readonly admin: number; readonly stats: number; readonly readiness: number };
  readonly log: string[] = [];
  readonly ended: Promise<void>;

  private constructor(
    options: TestProxyOptions,
    ads: AdsServer,
    [admin = 0, stats = 0, readiness = 0, envoyStats = 0]: readonly number[],
  ) {
    this.ads = ads;
    this.ports = { admin, stats, readiness };
    const { name, role, address = "127.0.0.1", proxyConfig = "terminationDrainDuration: 0s\n" } = options;
    const env = {
      PROXY_CONFIG: `discoveryAddress: ${ads.url}\n${proxyConfig}`,
      POD_NAME: `${name}-1`,
      POD_NAMESPACE: "test",
      SERVICE_ACCOUNT: name,
      INSTANCE_IP: address,
      ISTIO_META_WORKLOAD_NAME: name,
      ADMIN_PORT: String(admin),
      STATS_PORT: String(stats),
      READINESS_PORT: String(readiness),
      ENVOY_STATS_PORT: String(envoyStats),
      ...options.environment,
    };
    const proxy = new Proxy({
      settings: readSettings({ env, args: ["proxy", role], version: "1.2.3", labelsFile: `app="${name}"\n` }),
      authority: options.authority,
      listen: listenTcp,
      resolve: options.resolve ?? (() => Promise.resolve({ addresses: ["127.0.0.1"] })),
      readFile: async (path) => await readFile(path, "utf8"),
      newRequestId: randomUuids((bytes) => randomFillSync(bytes)),
      log: createLogger({ scope: name, level: "debug", write: (line) => void this.log.push(line) }),
      clock: options.clock ?? systemClock,
      random: seededRandom(3),
      ...(options.podEndFolder === undefined ? {} : { podEndFolder: options.podEndFolder }),
      quit: () => this.shutdown.request("quit"),
      ...(options.serve === undefined ? servingOf(options.workers) : { serve: options.serve }),
    });
    this.ended = proxy.run(this.shutdown);
  }

  static async start(options: TestProxyOptions): Promise<TestProxy> {
    return new TestProxy(
      options,
      await AdsServer.start(),
      await Promise.all(Array.from({ length: 4 }, async () => await freePort())),
    );
  }

  async ready(): Promise<void> {
    await until(
      async () => (await fetchOnce(this.ports.readiness, "/healthz/ready").catch(() => undefined))?.status === 200,
    );
  }

  async samples(name: string): Promise<PrometheusSample[]> {
    return parsePrometheus((await fetchOnce(this.ports.stats, "/stats/prometheus")).body).samples.filter(
      (sample) => sample.name === name,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.shutdown.request("test over");
    this.shutdown.request("now");
    await this.ended;
    await this.ads[Symbol.asyncDispose]();
  }
}

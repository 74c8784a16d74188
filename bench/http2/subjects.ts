// The proxies that are compared, each a process on the first core with a control plane of its own in the bench.
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom, ShutdownController, silentLogger, systemClock } from "../../src/base/index.ts";
import { FakeCertificateAuthority } from "../../src/dataplane/index.ts";
import { connectTcp, listenTcp } from "../../src/net/index.ts";
import { freePort } from "../../src/net/testing/index.ts";
import { readSettings } from "../../src/proxy/proxy-settings.ts";
import { Proxy } from "../../src/proxy/proxy.ts";
import { AdsServer } from "../../src/proxy/testing/ads-server.ts";
import { typeUrls } from "../../src/wire/xds/index.ts";
import { resourcesFor, routeResource, type Certificates, type ListenerPorts, type UpstreamPorts } from "./resources.ts";

const readyTimeoutMs = 30_000;
const lookMs = 50;

export interface Subject {
  readonly name: string;
  readonly pid: number;
  readonly ports: ListenerPorts;
  /** Replaces all routes. */
  changeRoutes(version: number): void;
}

/** Runs Serin's proxy until the process ends. */
export async function runProxy(adsUrl: string): Promise<void> {
  const [admin, stats, readiness, envoyStats] = await Promise.all(
    Array.from({ length: 4 }, async () => await freePort()),
  );
  const env = {
    PROXY_CONFIG: `discoveryAddress: ${adsUrl}\n`,
    POD_NAME: "bench-1",
    POD_NAMESPACE: "bench",
    SERVICE_ACCOUNT: "bench",
    INSTANCE_IP: "127.0.0.1",
    ADMIN_PORT: String(admin),
    STATS_PORT: String(stats),
    READINESS_PORT: String(readiness),
    ENVOY_STATS_PORT: String(envoyStats),
  };
  const proxy = new Proxy({
    settings: readSettings({ env, args: ["proxy", "router"], version: "bench", labelsFile: undefined }),
    authority: new FakeCertificateAuthority(),
    listen: listenTcp,
    resolve: () => Promise.resolve(["127.0.0.1"]),
    readFile: async (path) => await readFile(path, "utf8"),
    newRequestId: () => randomUUID(),
    log: silentLogger,
    clock: systemClock,
    random: seededRandom(3),
    quit: () => undefined,
  });
  await proxy.run(new ShutdownController());
}

function envoyBootstrap(adsUrl: string): object {
  const { hostname, port } = new URL(adsUrl);
  const type = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return {
    node: { id: "router~127.0.0.1~bench-1.bench~bench.svc.cluster.local", cluster: "bench" },
    dynamicResources: {
      adsConfig: {
        apiType: "DELTA_GRPC",
        transportApiVersion: "V3",
        grpcServices: [{ envoyGrpc: { clusterName: "ads" } }],
      },
      cdsConfig: { ads: {}, resourceApiVersion: "V3" },
      ldsConfig: { ads: {}, resourceApiVersion: "V3" },
    },
    staticResources: {
      clusters: [
        {
          name: "ads",
          type: "STATIC",
          connectTimeout: "5s",
          typedExtensionProtocolOptions: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": type,
              explicitHttpConfig: { http2ProtocolOptions: {} },
            },
          },
          loadAssignment: {
            clusterName: "ads",
            endpoints: [
              {
                lbEndpoints: [
                  { endpoint: { address: { socketAddress: { address: hostname, portValue: Number(port) } } } },
                ],
              },
            ],
          },
        },
      ],
    },
  };
}

export class Subjects {
  readonly all: Subject[] = [];
  readonly #children: ChildProcess[] = [];
  readonly #controlPlanes: AdsServer[] = [];
  readonly #directory = mkdtempSync(join(tmpdir(), "serin-bench-"));
  readonly #upstreams: UpstreamPorts;
  readonly #certificates: Certificates;

  constructor(upstreams: UpstreamPorts, certificates: Certificates) {
    this.#upstreams = upstreams;
    this.#certificates = certificates;
  }

  /** `script` is the bench of this checkout or of another one. */
  async startSerin(name: string, script: string): Promise<void> {
    await this.#start(name, (adsUrl) => [process.execPath, script, "proxy", adsUrl]);
  }

  async startEnvoy(program: string): Promise<void> {
    await this.#start("envoy", (adsUrl) => {
      const file = join(this.#directory, "envoy.json");
      writeFileSync(file, JSON.stringify(envoyBootstrap(adsUrl)));
      return [program, "-c", file, "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"];
    });
  }

  async stop(): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const ads of this.#controlPlanes) await ads[Symbol.asyncDispose]();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #start(name: string, commandOf: (adsUrl: string) => readonly string[]): Promise<void> {
    const ads = await AdsServer.start();
    this.#controlPlanes.push(ads);
    const [plain, mutualTls] = [await freePort(), await freePort()];
    const ports = { plain, mutualTls };
    for (const [typeUrl, resources] of resourcesFor(ports, this.#upstreams, this.#certificates))
      ads.push(typeUrl, resources);
    const child = spawn("taskset", ["-c", "0", ...commandOf(ads.url)], { stdio: ["ignore", "inherit", "inherit"] });
    this.#children.push(child);
    const deadlineMs = performance.now() + readyTimeoutMs;
    for (const port of [plain, mutualTls])
      while (!(await accepts(port))) {
        const refused = ads.acknowledgements.find(({ error }) => error !== undefined);
        if (refused !== undefined) throw new Error(`${name} refused ${refused.typeUrl}: ${refused.error ?? ""}`);
        if (child.exitCode !== null || performance.now() > deadlineMs) throw new Error(`${name} does not listen`);
        await systemClock.sleep(lookMs);
      }
    this.all.push({
      name,
      pid: child.pid ?? 0,
      ports,
      changeRoutes: (version) => ads.push(typeUrls.route, routeResource(version)),
    });
  }
}

async function accepts(port: number): Promise<boolean> {
  const stream = await connectTcp({ address: "127.0.0.1", port, timeoutMs: 1000 }).catch(() => undefined);
  stream?.destroy();
  return stream !== undefined;
}

// The compared proxies. Each is a process with its own control plane in the bench. With one thread, it has the first
// core. With several threads, it has all cores.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/base/index.ts";
import { connectTcp } from "../../src/net/index.ts";
import { freePort } from "../../src/net/testing/index.ts";
import { bundleFolder, bundleRole, productEnv, productFlags } from "../bundle-role.ts";
import { AdsServer } from "../../src/proxy/testing/ads-server.ts";
import { typeUrls } from "../../src/wire/xds/index.ts";
import { resourcesFor, routeResource, type Certificates, type ListenerPorts, type UpstreamPorts } from "./resources.ts";
import { endsWithThis } from "../../scripts/ends-with-this.ts";

const readyTimeoutMs = 30_000;
const lookMs = 50;

export interface Subject {
  readonly name: string;
  readonly pid: number;
  readonly ports: ListenerPorts;
  /** Replaces all routes. */
  changeRoutes(version: number): void;
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
  readonly #bundles = bundleFolder();
  readonly #upstreams: UpstreamPorts;
  readonly #certificates: Certificates;
  readonly #threads: number;

  constructor(upstreams: UpstreamPorts, certificates: Certificates, threads: number) {
    this.#upstreams = upstreams;
    this.#certificates = certificates;
    this.#threads = threads;
  }

  /** Starts the proxy of a checkout. */
  async startSerin(name: string, checkout: string): Promise<void> {
    const entry = await bundleRole("bench/http2-proxy.ts", checkout, join(this.#bundles, name));
    await this.#start(name, (adsUrl) => [process.execPath, ...productFlags, entry, adsUrl, String(this.#threads)]);
  }

  async startEnvoy(program: string): Promise<void> {
    await this.#start("envoy", (adsUrl) => {
      const file = join(this.#directory, "envoy.json");
      writeFileSync(file, JSON.stringify(envoyBootstrap(adsUrl)));
      return [
        program,
        "-c",
        file,
        "--concurrency",
        String(this.#threads),
        "--log-level",
        "error",
        "--use-dynamic-base-id",
      ];
    });
  }

  async stop(): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const ads of this.#controlPlanes) await ads[Symbol.asyncDispose]();
    for (const directory of [this.#directory, this.#bundles]) rmSync(directory, { recursive: true, force: true });
  }

  async #start(name: string, commandOf: (adsUrl: string) => readonly string[]): Promise<void> {
    const ads = await AdsServer.start();
    this.#controlPlanes.push(ads);
    const [plain, mutualTls] = [await freePort(), await freePort()];
    const ports = { plain, mutualTls };
    for (const [typeUrl, resources] of resourcesFor(ports, this.#upstreams, this.#certificates))
      ads.push(typeUrl, resources);
    const cores = this.#threads > 1 ? [] : ["taskset", "-c", "0"];
    const child = spawn(...endsWithThis(...cores, ...commandOf(ads.url)), {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ...productEnv },
    });
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

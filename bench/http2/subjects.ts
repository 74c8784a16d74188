// The compared proxies. Each is a process with its own control plane in the bench. In a bench of single threads, all of
// them run on the first core. Otherwise, they run on all cores.
import { spawn, type ChildProcess } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/base/index.ts";
import { connectTcp } from "../../src/net/index.ts";
import { freePort } from "../../src/net/testing/index.ts";
import { bundleFolder, bundleRole, productEnv, productFlags } from "../bundle-role.ts";
import type { JsonValue } from "@bufbuild/protobuf";
import { AdsServer } from "../../src/proxy/testing/ads-server.ts";
import { endsWithThis } from "../../scripts/lab/ends-with-this.ts";
import { scratchFolder } from "../scratch-folder.ts";

const readyTimeoutMs = 30_000;
const lookMs = 50;

export interface Subject<Port extends string> {
  readonly name: string;
  readonly pid: number;
  readonly ports: Readonly<Record<Port, number>>;
  push(typeUrl: string, resources: Readonly<Record<string, JsonValue>>): void;
}

export interface SubjectsOptions<Port extends string> {
  /** The names of the listeners. Each proxy gets a port for each of them. */
  readonly listeners: readonly Port[];
  /** The configuration by type and name, for a proxy with these ports. */
  readonly resources: (
    ports: Readonly<Record<Port, number>>,
  ) => Iterable<readonly [typeUrl: string, Readonly<Record<string, JsonValue>>]>;
  /** Whether each proxy has only the first core. */
  readonly firstCoreOnly: boolean;
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

export class Subjects<Port extends string> {
  readonly all: Subject<Port>[] = [];
  readonly #options: SubjectsOptions<Port>;
  readonly #children: ChildProcess[] = [];
  readonly #controlPlanes: AdsServer[] = [];
  readonly #directory = scratchFolder();
  readonly #bundles = bundleFolder();
  readonly #entries = new Map<string, Promise<string>>();

  constructor(options: SubjectsOptions<Port>) {
    this.#options = options;
  }

  async startSerin(name: string, checkout: string, threads: number): Promise<void> {
    const bundled =
      this.#entries.get(checkout) ?? bundleRole("bench/http2-proxy.ts", checkout, join(this.#bundles, name));
    this.#entries.set(checkout, bundled);
    const entry = await bundled;
    await this.#start(name, (adsUrl) => [process.execPath, ...productFlags, entry, adsUrl, String(threads)]);
  }

  async startEnvoy(program: string, threads: number): Promise<void> {
    await this.#start("envoy", (adsUrl) => {
      const file = join(this.#directory, "envoy.json");
      writeFileSync(file, JSON.stringify(envoyBootstrap(adsUrl)));
      return [program, "-c", file, "--concurrency", String(threads), "--log-level", "error", "--use-dynamic-base-id"];
    });
  }

  async stop(): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const ads of this.#controlPlanes) await ads[Symbol.asyncDispose]();
    for (const directory of [this.#directory, this.#bundles]) rmSync(directory, { recursive: true, force: true });
  }

  async #start(name: string, commandOf: (adsUrl: string) => readonly string[]): Promise<void> {
    const { listeners, resources, firstCoreOnly } = this.#options;
    const ads = await AdsServer.start();
    this.#controlPlanes.push(ads);
    const free: [name: Port, port: number][] = [];
    for (const listener of listeners) free.push([listener, await freePort()]);
    const ports = Object.fromEntries(free) as Record<Port, number>;
    for (const [typeUrl, named] of resources(ports)) ads.push(typeUrl, named);
    const cores = firstCoreOnly ? ["taskset", "-c", "0"] : [];
    const child = spawn(...endsWithThis(...cores, ...commandOf(ads.url)), {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ...productEnv },
    });
    this.#children.push(child);
    const deadlineMs = performance.now() + readyTimeoutMs;
    for (const [, port] of free)
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
      push: (typeUrl, named) => ads.push(typeUrl, named),
    });
  }
}

async function accepts(port: number): Promise<boolean> {
  const stream = await connectTcp({ address: "127.0.0.1", port, timeoutMs: 1000 }).catch(() => undefined);
  stream?.destroy();
  return stream !== undefined;
}

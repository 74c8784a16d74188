import { fork, type ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/base/index.ts";
import { NetworkNamespace, RouteNetlink } from "../../src/net/index.ts";
import { answerOf } from "../answer-of.ts";
import { answersReady } from "../answers-ready.ts";
import { Clients, ends } from "./clients.ts";
import type { UrlsOfGateway } from "./gateway-control-plane.ts";
import { Program } from "./program.ts";
import { allowManyConnections, type HandOver, type Scene } from "./scene.ts";

const port = 80;
/**
 * How long connections still arrive at a gateway that has begun to end, because the nodes' rules follow with a delay.
 */
const followMs = 1000;
const sharedMs = 1000;
const portsOfGateway = 10;

interface Gateway {
  readonly address: string;
  readonly program: Program;
}

/**
 * Gateways as pods of a Deployment, each with its own address. A new pod starts and gets its part of the connections.
 * Then the old pod ends.
 */
export class GatewayScene implements Scene {
  readonly clients: Clients;
  readonly #namespace: NetworkNamespace;
  readonly #folder: string;
  readonly #tokenFile: string;
  readonly #controlPlane: ChildProcess;
  #count = 0;
  #current: Gateway | undefined;
  #next: Gateway | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#tokenFile = join(folder, "token");
    writeFileSync(this.#tokenFile, "token");
    this.#namespace = NetworkNamespace.create();
    using links = new RouteNetlink(this.#namespace.fd);
    links.setLoopbackUp();
    allowManyConnections(this.#namespace);
    this.#controlPlane = this.#namespace.enter(() => fork(ends, ["control-plane"]));
    this.clients = new Clients(this.#namespace);
  }

  static async start(folder: string, workers: number): Promise<GatewayScene> {
    const scene = new GatewayScene(folder);
    await answerOf(scene.#controlPlane, "the control plane of the gateways");
    scene.#current = await scene.#start(workers);
    await scene.#serve(scene.#current);
    return scene;
  }

  async startNext(workers: number): Promise<void> {
    this.#next = await this.#start(workers);
  }

  async handOver(): Promise<HandOver> {
    const [old, next] = [this.#current, this.#next];
    if (old === undefined || next === undefined) throw new Error("there is no next gateway");
    const startedMs = performance.now();
    await this.#serve(old, next);
    await systemClock.sleep(sharedMs);
    const ended = old.program.terminate();
    // The old program may fail before the code below waits for its end.
    ended.catch(() => undefined);
    await systemClock.sleep(followMs);
    await this.#serve(next);
    const movedMs = performance.now() - startedMs;
    await ended;
    [this.#current, this.#next] = [next, undefined];
    return { movedMs, endedMs: performance.now() - startedMs };
  }

  async replaceWithoutHandOver(workers: number): Promise<HandOver> {
    const startedMs = performance.now();
    await this.#current?.program.kill();
    this.#current = await this.#start(workers);
    await this.#serve(this.#current);
    const movedMs = performance.now() - startedMs;
    return { movedMs, endedMs: movedMs };
  }

  async stop(): Promise<void> {
    this.clients.stop();
    for (const gateway of [this.#current, this.#next]) await gateway?.program.kill();
    this.#controlPlane.kill("SIGKILL");
    this.#namespace.close();
  }

  async #serve(...gateways: readonly Gateway[]): Promise<void> {
    const addresses = gateways.map(({ address }) => address);
    await this.clients.run({ order: "target", target: { addresses, port, messageBytes: 0 } });
  }

  async #start(workers: number): Promise<Gateway> {
    this.#count += 1;
    const address = `127.0.1.${this.#count}`;
    const answer = answerOf(this.#controlPlane, "the control plane of the gateways");
    this.#controlPlane.send({ address, port });
    const urls = (await answer) as UrlsOfGateway;
    const ownPort = (place: number): string => String(15_000 + this.#count * portsOfGateway + place);
    const readiness = ownPort(0);
    const program = new Program({
      name: `gateway-${this.#count}`,
      namespace: this.#namespace,
      folder: this.#folder,
      words: ["proxy", "router"],
      env: {
        PROXY_CONFIG: `discoveryAddress: ${urls.discovery}\nconcurrency: ${workers}\n`,
        CA_ADDR: urls.authority,
        AUTH_TOKEN: this.#tokenFile,
        POD_NAME: `gateway-${this.#count}`,
        POD_NAMESPACE: "bench",
        SERVICE_ACCOUNT: "bench",
        INSTANCE_IP: address,
        READINESS_PORT: readiness,
        ADMIN_PORT: ownPort(1),
        STATS_PORT: ownPort(2),
        ENVOY_STATS_PORT: ownPort(3),
      },
    });
    await program.until("ready", async () => await answersReady(this.#namespace, Number(readiness)));
    await program.hasWorkers(workers);
    return { address, program };
  }
}

import { fork, type ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { closePodSockets, openPodSockets } from "../../src/cni/pod-sockets.ts";
import { FakeCertificateAuthority } from "../../src/dataplane/index.ts";
import { pairMesh, podPair, serverAddress, serviceAddress, type PodPair } from "../../src/ztunnel/testing/pod-pair.ts";
import { answerOf } from "../answer-of.ts";
import { Clients, ends } from "./clients.ts";
import { allowManyConnections, forgetConnections, type HandOver, type Scene } from "./scene.ts";
import { ZtunnelProgram, type ServedPod } from "./ztunnel-program.ts";

const [servicePort, serverPort, hbonePort] = [80, 8080, 15_008];
/** The file with the mesh's root, which the ztunnels and the clients read. */
const rootFile = "ca-root.json";

/** Connections that the ztunnel captures, or tunnels that come from outside. */
export type ZtunnelLoad = "captured" | "tunnels";

/**
 * A client's pod and a server's pod on a node, which one ztunnel serves. The client's connections are captured and go
 * through a tunnel from the ztunnel to itself. With the load `tunnels`, the client itself opens tunnels to the server's
 * pod, as a ztunnel of another node does. In a hand-over, a second ztunnel gets both pods, one after another.
 */
export class ZtunnelScene implements Scene {
  readonly clients: Clients;
  readonly #folder: string;
  readonly #pair: PodPair;
  readonly #server: ChildProcess;
  #pods: readonly ServedPod[];
  #count = 0;
  #current: ZtunnelProgram | undefined;
  #next: ZtunnelProgram | undefined;

  private constructor(folder: string, load: ZtunnelLoad) {
    this.#folder = folder;
    writeFileSync(join(folder, "mesh.yaml"), pairMesh);
    writeFileSync(join(folder, rootFile), JSON.stringify(new FakeCertificateAuthority().exportRoot()));
    this.#pair = podPair();
    allowManyConnections(this.#pair.client, this.#pair.server);
    forgetConnections(this.#pair.client, this.#pair.server);
    this.#server = this.#pair.server.enter(() => fork(ends, ["application", String(serverPort)]));
    const words = load === "tunnels" ? [`${serverAddress}:${serverPort}`, join(folder, rootFile)] : [];
    this.clients = new Clients(this.#pair.client, ...words);
    this.#pods = this.#openPods();
  }

  static async start(folder: string, workers: number, load: ZtunnelLoad): Promise<ZtunnelScene> {
    const scene = new ZtunnelScene(folder, load);
    await answerOf(scene.#server, "the application");
    scene.#current = await scene.#start(workers);
    for (const pod of scene.#pods) await scene.#current.add(pod, false);
    const [address, port] = load === "tunnels" ? [serverAddress, hbonePort] : [serviceAddress, servicePort];
    await scene.clients.run({ order: "target", target: { addresses: [address], port, messageBytes: 1 } });
    return scene;
  }

  async startNext(workers: number): Promise<void> {
    this.#next = await this.#start(workers);
  }

  async handOver(): Promise<HandOver> {
    const [old, next] = [this.#current, this.#next];
    if (old === undefined || next === undefined) throw new Error("there is no next ztunnel");
    const startedMs = performance.now();
    for (const pod of this.#pods) {
      await next.add(pod, true);
      await old.handAway(pod);
    }
    const movedMs = performance.now() - startedMs;
    await old.program.terminate();
    old.close();
    [this.#current, this.#next] = [next, undefined];
    return { movedMs, endedMs: performance.now() - startedMs };
  }

  async replaceWithoutHandOver(workers: number): Promise<HandOver> {
    const startedMs = performance.now();
    await this.#current?.program.kill();
    this.#current?.close();
    for (const { sockets } of this.#pods) closePodSockets(sockets);
    const next = await this.#start(workers);
    this.#pods = this.#openPods();
    for (const pod of this.#pods) await next.add(pod, false);
    this.#current = next;
    const movedMs = performance.now() - startedMs;
    return { movedMs, endedMs: movedMs };
  }

  async stop(): Promise<void> {
    this.clients.stop();
    for (const ztunnel of [this.#current, this.#next]) {
      await ztunnel?.program.kill();
      ztunnel?.close();
    }
    this.#server.kill("SIGKILL");
    for (const { sockets } of this.#pods) closePodSockets(sockets);
    this.#pair.close();
  }

  #openPods(): readonly ServedPod[] {
    const { client, server } = this.#pair;
    return [
      { uid: "client", namespace: client, sockets: openPodSockets(client.fd) },
      { uid: "server", namespace: server, sockets: openPodSockets(server.fd) },
    ];
  }

  async #start(workers: number): Promise<ZtunnelProgram> {
    this.#count += 1;
    const ztunnel = new ZtunnelProgram(`ztunnel-${this.#count}`, this.#folder, workers);
    await ztunnel.ready();
    await ztunnel.program.hasWorkers(workers);
    return ztunnel;
  }
}

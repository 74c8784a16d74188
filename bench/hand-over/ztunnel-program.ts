import { join } from "node:path";
import { NetworkNamespace, RouteNetlink } from "../../src/net/index.ts";
import type { ZdsRequest } from "../../src/wire/zds/index.ts";
import { PlayedAgent } from "../../src/ztunnel/testing/played-agent.ts";
import type { PodSocket } from "../../src/cni/pod-sockets.ts";
import { Program } from "./program.ts";

const triesToAdd = 20;

/** A pod that ztunnels serve, with the sockets that the CNI agent has opened in it. */
export interface ServedPod {
  readonly uid: string;
  readonly namespace: NetworkNamespace;
  readonly sockets: readonly PodSocket[];
}

/** A ztunnel with a network of its own, and the CNI agent's end of its connection. */
export class ZtunnelProgram {
  readonly program: Program;
  readonly #namespace = NetworkNamespace.create();
  readonly #agent: PlayedAgent;

  /** `files` is a folder with the mesh in `mesh.yaml` and the CA's root in `ca-root.json`. */
  constructor(name: string, files: string, workers: number) {
    using links = new RouteNetlink(this.#namespace.fd);
    links.setLoopbackUp();
    const path = join(files, `${name}.sock`);
    this.#agent = PlayedAgent.listen(path);
    this.program = new Program({
      name,
      namespace: this.#namespace,
      folder: files,
      words: ["ztunnel"],
      env: {
        REVISION: name,
        LOCAL_XDS_PATH: join(files, "mesh.yaml"),
        FAKE_CA: "true",
        FAKE_CA_ROOT: join(files, "ca-root.json"),
        INPOD_UDS: path,
        NODE_NAME: "node",
        ZTUNNEL_WORKER_THREADS: String(workers),
      },
    });
  }

  /**
   * Resolves when the ztunnel has sent its name to the agent, and has received the agent's list of pods, which is
   * empty.
   */
  async ready(): Promise<void> {
    let greeted = false;
    void this.#agent.hello().then(() => (greeted = true));
    await this.program.until("connected to the agent", () => Promise.resolve(greeted));
    await this.#agent.send({ type: "snapshot-sent" });
  }

  /**
   * Gives the pod to the ztunnel. Tries several times, as the agent does, because the ztunnel may need the pod's
   * certificate first.
   */
  async add({ uid, namespace, sockets }: ServedPod, handedOver: boolean): Promise<void> {
    const workload = { name: uid, namespace: "default", serviceAccount: uid };
    const request: ZdsRequest = {
      type: "add",
      uid,
      workload,
      listeners: sockets.map(({ role }) => role),
      handedOver,
    };
    let error = "";
    for (let count = 0; count < triesToAdd; count += 1) {
      ({ error } = await this.#agent.send(request, [namespace.fd, ...sockets.map(({ fd }) => fd)]));
      if (error === "") return;
    }
    throw this.program.trouble(`it does not take ${uid}: ${error}`);
  }

  async handAway({ uid }: ServedPod): Promise<void> {
    const { error } = await this.#agent.send({ type: "delete", uid, handedOver: true });
    if (error !== "") throw this.program.trouble(`it does not give ${uid} away: ${error}`);
  }

  close(): void {
    this.#namespace.close();
  }
}

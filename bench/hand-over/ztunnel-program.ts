import { join } from "node:path";
import { NetworkNamespace, RouteNetlink, SeqpacketServer, type SeqpacketConnection } from "../../src/net/index.ts";
import { decodeZdsHello, decodeZdsResponse, encodeZdsRequest, type ZdsRequest } from "../../src/wire/zds/index.ts";
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
  readonly #agent: Promise<SeqpacketConnection>;
  readonly #answers: ((error: string) => void)[] = [];

  /** `files` has the mesh in `mesh.yaml` and the CA's root in `ca-root.json`. */
  constructor(name: string, files: string, workers: number) {
    using links = new RouteNetlink(this.#namespace.fd);
    links.setLoopbackUp();
    const path = join(files, `${name}.sock`);
    this.#agent = this.#accept(path);
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

  /** Resolves when the ztunnel has told the agent its name, and has the pods that the agent has for it: none. */
  async ready(): Promise<void> {
    let greeted = false;
    void this.#agent.then(() => (greeted = true));
    await this.program.until("connected to the agent", () => Promise.resolve(greeted));
    await this.#request({ type: "snapshot-sent" });
  }

  /** The ztunnel may need the pod's certificate first. The agent tries again too. */
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
      error = await this.#request(request, [namespace.fd, ...sockets.map(({ fd }) => fd)]);
      if (error === "") return;
    }
    throw this.program.trouble(`it does not take ${uid}: ${error}`);
  }

  async handAway({ uid }: ServedPod): Promise<void> {
    const error = await this.#request({ type: "delete", uid, handedOver: true });
    if (error !== "") throw this.program.trouble(`it does not give ${uid} away: ${error}`);
  }

  close(): void {
    this.#namespace.close();
  }

  async #accept(path: string): Promise<SeqpacketConnection> {
    return await new Promise((resolve) => {
      const server = SeqpacketServer.listen(path, (connection) => {
        server.close();
        let greeted = false;
        connection.start({
          message: ({ bytes }) => {
            if (greeted) this.#answers.shift()?.(decodeZdsResponse(bytes).error);
            else {
              decodeZdsHello(bytes);
              greeted = true;
              resolve(connection);
            }
          },
          close: () => undefined,
        });
      });
    });
  }

  /** The error of the answer, or an empty text. */
  async #request(message: ZdsRequest, descriptors: readonly number[] = []): Promise<string> {
    const agent = await this.#agent;
    return await new Promise((resolve) => {
      this.#answers.push(resolve);
      agent.send(encodeZdsRequest(message), descriptors);
    });
  }
}

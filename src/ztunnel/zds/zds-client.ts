import { fstatSync } from "node:fs";
import { Backoff, messageOf, systemRandom, onAbort, type Clock, type Logger, type Random } from "../../base/index.ts";
import { closeDescriptor, SeqpacketConnection, type SeqpacketMessage } from "../../net/index.ts";
import {
  decodeZdsRequest,
  encodeZdsHello,
  encodeZdsResponse,
  type ZdsListenerRole,
  type ZdsRequest,
} from "../../wire/zds/index.ts";
import type { ServedPods } from "../proxy/served-pods.ts";
import type { WorkloadInfo } from "../state/model.ts";

export interface ZdsClientOptions {
  readonly path: string;
  readonly revision: string;
  readonly pods: ServedPods;
  /**
   * Prepares to serve a pod that another ztunnel still serves. Rejects if that takes too long. The returned object must
   * be disposed after the pod was added.
   */
  readonly prepare: (info: WorkloadInfo) => Promise<Disposable>;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random?: Random;
  /** Called with true when the agent has sent all pods, and with false when the connection ends or cannot be opened. */
  readonly onSynced: (synced: boolean) => void;
}

/**
 * The maximum pause between two attempts to connect, in milliseconds. A starting pod waits only some seconds in the CNI
 * agent for its ztunnel. So the ztunnel must soon find an agent that has restarted.
 */
const maxPauseMs = 1_000;
/**
 * The approximate number of attempts that fail in a minute. The ztunnel logs one warning in this number of attempts.
 */
const attemptsPerWarning = 80;
/**
 * The number of failures before the first warning. Failures are expected while the node starts, because the agent may
 * start later.
 */
const quietAttempts = 8;

/** A message that was read, or the error because of which it could not be read. */
interface Received {
  readonly request?: ZdsRequest;
  readonly unreadable?: unknown;
  readonly descriptors: readonly number[];
  readonly prepared?: Promise<Disposable>;
}

/**
 * The ztunnel's end of ZDS. The CNI agent sends the pods that the ztunnel serves, with their namespaces and sockets.
 */
export class ZdsClient {
  readonly #options: ZdsClientOptions;
  readonly #log: Logger;

  constructor(options: ZdsClientOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /**
   * Connects, serves and reconnects until the signal aborts. The ztunnel continues to serve its pods while the agent is
   * away.
   */
  async run(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ initialMs: 20, maxMs: maxPauseMs, random: this.#options.random ?? systemRandom });
    while (!signal.aborted) {
      try {
        const connection = SeqpacketConnection.connect(this.#options.path);
        backoff.reset();
        await this.#serve(connection, signal);
        if (!signal.aborted) this.#log.info("the CNI agent's connection ended", { path: this.#options.path });
      } catch (error) {
        const level = backoff.attempt % attemptsPerWarning === quietAttempts ? "warn" : "debug";
        this.#log[level]("failed to connect to the CNI node agent", {
          path: this.#options.path,
          error: messageOf(error),
        });
      }
      this.#options.onSynced(false);
      if (signal.aborted) return;
      await this.#options.clock.sleep(backoff.nextMs(), signal).catch(() => undefined);
    }
  }

  #serve(connection: SeqpacketConnection, signal: AbortSignal): Promise<void> {
    const known = new Set<string>();
    // Handle requests one after another, because the responses must have the order of the requests.
    let queue = Promise.resolve();
    return new Promise((resolve) => {
      let abort: Disposable = { [Symbol.dispose]: () => undefined };
      connection.start({
        message: (message) => {
          const received = this.#read(message);
          queue = queue.then(() => this.#handle(connection, received, known));
        },
        close: (error) => {
          abort[Symbol.dispose]();
          if (error !== undefined) this.#log.warn("the CNI agent's connection failed", { error: error.message });
          resolve();
        },
      });
      connection.send(encodeZdsHello({ version: 1, revision: this.#options.revision, acceptsListeners: true }));
      abort = onAbort(signal, () => connection.close());
    });
  }

  /**
   * Reads a message. Starts the preparation of a pod that is handed over at once, because many may be handed over
   * together.
   */
  #read({ bytes, descriptors }: SeqpacketMessage): Received {
    try {
      const request = decodeZdsRequest(bytes);
      const { pods, prepare } = this.#options;
      if (request.type !== "add" || !request.handedOver || pods.descriptors(request.uid) !== undefined)
        return { request, descriptors };
      const prepared = prepare(request.workload);
      // Prevent an unhandled rejection. The code that adds the pod handles the failure.
      prepared.catch(() => undefined);
      return { request, descriptors, prepared };
    } catch (error) {
      return { unreadable: error, descriptors };
    }
  }

  async #handle(connection: SeqpacketConnection, received: Received, known: Set<string>): Promise<void> {
    let error = "";
    let returned: { readonly roles: readonly ZdsListenerRole[]; readonly descriptors: readonly number[] } = {
      roles: [],
      descriptors: [],
    };
    try {
      returned = (await this.#obey(received, known)) ?? returned;
    } catch (thrown) {
      error = messageOf(thrown);
      // An error in answer to `keep` is expected: an agent that has lost its records asks about pods of other ztunnels
      // too.
      const level = received.request?.type === "keep" ? "debug" : "error";
      this.#log[level]("a request of the CNI agent failed", { error });
    }
    if (connection.closed) return;
    try {
      connection.send(encodeZdsResponse({ error, listeners: returned.roles }), returned.descriptors);
    } catch (thrown) {
      // The agent has ended, and this side has not noticed it yet.
      this.#log.debug("the CNI agent did not receive an answer", { error: messageOf(thrown) });
      connection.close();
    }
  }

  async #obey({ request, descriptors, prepared, unreadable }: Received, known: Set<string>) {
    const { pods } = this.#options;
    if (request === undefined) {
      for (const fd of descriptors) closeDescriptor(fd);
      throw unreadable;
    }
    switch (request.type) {
      case "add":
        known.add(request.uid);
        await this.#add(request, descriptors, prepared);
        return undefined;
      case "delete":
        this.#log.info(request.handedOver ? "pod handed over" : "pod received, removing", { uid: request.uid });
        pods.remove(request.uid, request.handedOver);
        return undefined;
      case "keep":
        known.add(request.uid);
        return this.#keep(request.uid, request.returnListeners);
      case "snapshot-sent":
        for (const uid of pods.uids()) if (!known.has(uid)) pods.remove(uid, false);
        this.#options.onSynced(true);
        return undefined;
    }
  }

  async #add(
    request: Extract<ZdsRequest, { type: "add" }>,
    descriptors: readonly number[],
    preparing: Promise<Disposable> | undefined,
  ): Promise<void> {
    using _prepared = await preparing?.catch((error: unknown) => {
      for (const fd of descriptors) closeDescriptor(fd);
      throw error;
    });
    const { uid, workload, listeners } = request;
    const [namespaceFd, ...sockets] = descriptors;
    const { pods } = this.#options;
    if (namespaceFd === undefined || sockets.length !== listeners.length) {
      for (const fd of descriptors) closeDescriptor(fd);
      throw new TypeError(
        `AddWorkload ${uid} names ${listeners.length} listener(s) and carries ${descriptors.length} descriptor(s)`,
      );
    }
    const present = pods.descriptors(uid);
    if (present !== undefined) {
      if (isSameNamespace(present.namespaceFd, namespaceFd)) {
        for (const fd of descriptors) closeDescriptor(fd);
        return;
      }
      // The kubelet has recreated the pod's sandbox while no agent ran that could report the end of the old one.
      this.#log.info("the pod has another network namespace now", { uid });
      pods.remove(uid, false);
    }
    this.#log.info("pod received, starting proxy", { uid, name: workload.name, namespace: workload.namespace });
    await pods.add({
      uid,
      info: workload,
      namespaceFd,
      listeners: listeners.map((role, index) => ({ role, fd: sockets[index] ?? -1 })),
    });
  }

  #keep(uid: string, returnListeners: boolean) {
    const held = this.#options.pods.descriptors(uid);
    if (held === undefined) throw new TypeError(`this ztunnel does not know the workload ${uid}`);
    if (!returnListeners) return undefined;
    const { namespaceFd, listeners } = held;
    if (namespaceFd === undefined) throw new TypeError(`the workload ${uid} has no network namespace of its own`);
    return { roles: listeners.map(({ role }) => role), descriptors: [namespaceFd, ...listeners.map(({ fd }) => fd)] };
  }
}

function isSameNamespace(left: number | undefined, right: number): boolean {
  return left !== undefined && fstatSync(left).ino === fstatSync(right).ino;
}

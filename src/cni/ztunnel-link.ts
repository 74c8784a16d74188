import { BoundedQueue, invariant, messageOf, transientError, type Logger, type SerinError } from "../base/index.ts";
import { closeDescriptor, type SeqpacketConnection, type SeqpacketMessage } from "../net/index.ts";
import {
  decodeZdsHello,
  decodeZdsResponse,
  encodeZdsRequest,
  type ZdsHello,
  type ZdsListenerRole,
  type ZdsRequest,
} from "../wire/zds/index.ts";

const helloTimeoutMs = 5_000;
/**
 * The time limit for a ztunnel's answer in milliseconds. After this time, the agent disconnects the ztunnel, which then
 * reconnects and receives everything again.
 */
const answerTimeoutMs = 10_000;
const maxWaitingRequests = 4_096;

export interface ZdsAnswer {
  readonly listeners: readonly ZdsListenerRole[];
  /** The descriptors in the message. The receiver must close them. */
  readonly descriptors: readonly number[];
}

interface PendingRequest {
  readonly what: string;
  readonly resolve: (answer: ZdsAnswer) => void;
  readonly reject: (error: SerinError) => void;
}

/** The connection of one ztunnel process. The ztunnel answers requests in their order. */
export class ZtunnelLink {
  readonly #connection: SeqpacketConnection;
  readonly #log: Logger;
  readonly #hello = Promise.withResolvers<ZdsHello>();
  readonly #closed = Promise.withResolvers<void>();
  readonly #pending = new BoundedQueue<PendingRequest>(maxWaitingRequests);
  #greeting: ZdsHello | undefined;
  #timer: NodeJS.Timeout;

  constructor(connection: SeqpacketConnection, log: Logger) {
    this.#connection = connection;
    this.#log = log;
    this.#timer = setTimeout(() => this.#giveUp("no ZdsHello"), helloTimeoutMs);
    connection.start({ message: (message) => this.#receive(message), close: () => this.#onClose() });
  }

  /** Resolves with the ztunnel's first message. Rejects if the connection ends earlier. */
  get hello(): Promise<ZdsHello> {
    return this.#hello.promise;
  }
  get closed(): Promise<void> {
    return this.#closed.promise;
  }
  get isOpen(): boolean {
    return !this.#connection.closed;
  }
  /** The ztunnel's revision, or `default` if it states none. Read it only after {@link hello} has resolved. */
  get revision(): string {
    invariant(this.#greeting !== undefined, "a ztunnel link is used after its hello");
    return this.#greeting.revision === "" ? "default" : this.#greeting.revision;
  }
  get acceptsListeners(): boolean {
    return this.#greeting?.acceptsListeners === true;
  }

  /**
   * Sends a request. Resolves with the acknowledgement. Rejects with a transient error if the ztunnel reports an error,
   * or if the connection ends. The caller still owns the descriptors.
   */
  request(request: ZdsRequest, descriptors: readonly number[] = []): Promise<ZdsAnswer> {
    const what = request.type === "snapshot-sent" ? request.type : `${request.type} ${request.uid}`;
    return new Promise((resolve, reject) => {
      if (!this.#pending.push({ what, resolve, reject })) {
        reject(transientError("busy", `ztunnel ${this.revision} has ${maxWaitingRequests} unanswered requests`));
        return;
      }
      try {
        this.#connection.send(encodeZdsRequest(request), descriptors);
        if (this.#pending.size === 1) this.#restartTimer();
      } catch (error) {
        this.#giveUp(messageOf(error));
      }
    });
  }

  close(): void {
    this.#connection.close();
  }

  #receive(message: SeqpacketMessage): void {
    try {
      if (this.#greeting === undefined) this.#greet(message);
      else this.#answer(message);
    } catch (error) {
      for (const fd of message.descriptors) closeDescriptor(fd);
      this.#giveUp(messageOf(error));
    }
  }

  #greet(message: SeqpacketMessage): void {
    for (const fd of message.descriptors) closeDescriptor(fd);
    this.#greeting = decodeZdsHello(message.bytes);
    clearTimeout(this.#timer);
    this.#hello.resolve(this.#greeting);
  }

  #answer(message: SeqpacketMessage): void {
    const pending = this.#pending.shift();
    if (pending === undefined)
      throw transientError("ztunnel-gone", "the ztunnel sent an answer that no request waits for");
    const response = decodeZdsResponse(message.bytes);
    clearTimeout(this.#timer);
    if (this.#pending.size > 0) this.#restartTimer();
    if (response.error === "")
      return pending.resolve({ listeners: response.listeners, descriptors: message.descriptors });
    for (const fd of message.descriptors) closeDescriptor(fd);
    pending.reject(
      transientError("ztunnel-refused", `ztunnel ${this.revision} refused ${pending.what}: ${response.error}`),
    );
  }

  #restartTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#giveUp(`no answer in ${answerTimeoutMs} ms`), answerTimeoutMs);
  }

  #giveUp(reason: string): void {
    if (this.#connection.closed) return;
    this.#log.warn("cutting off a ztunnel", { revision: this.#greeting?.revision, reason });
    this.#connection.close();
  }

  #onClose(): void {
    clearTimeout(this.#timer);
    const gone = transientError("ztunnel-gone", "the ztunnel's connection has ended");
    if (this.#greeting === undefined) this.#hello.reject(gone);
    for (let pending = this.#pending.shift(); pending !== undefined; pending = this.#pending.shift()) {
      pending.reject(transientError("ztunnel-gone", `${pending.what}: the ztunnel's connection has ended`));
    }
    this.#closed.resolve();
  }
}

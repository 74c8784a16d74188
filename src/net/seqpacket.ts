import { unlinkSync } from "node:fs";
import { BoundedQueue, invariant, userError, type SerinError } from "../base/index.ts";
import { addressOf, check, lastErrorName, libc, linux, watchReadable, watchWritable } from "./libc.ts";
import { systemError } from "./node-error.ts";

/** SCM_MAX_FD of the kernel: how many descriptors one message may carry. */
export const maxDescriptorsPerMessage = 253;
const maxMessageBytes = 1 << 16;
const maxQueuedMessages = 4096;
const controlHeaderBytes = 16;
const messageHeaderBytes = 56;
const doNotWait = 0x40;
const noSignal = 0x4000;
const closeOnExecReceived = 0x40000000;
const controlTruncated = 8;
const maxPathBytes = 107;

export interface SeqpacketMessage {
  readonly bytes: Buffer;
  /** The descriptors that came with the message. The receiver owns them and must close them. */
  readonly descriptors: readonly number[];
}

export interface SeqpacketHandler {
  message(message: SeqpacketMessage): void;
  /** Called once, as the last call. `error` is undefined if the peer or this side has closed the connection. */
  close(error: SerinError | undefined): void;
}

/**
 * A connection over a Unix socket of type SOCK_SEQPACKET. It transports whole messages, which may carry descriptors
 * (SCM_RIGHTS).
 */
export class SeqpacketConnection {
  #fd: number;
  #reading: Disposable | undefined;
  #writing: Disposable | undefined;
  #handler: SeqpacketHandler | undefined;
  readonly #queue = new BoundedQueue<SeqpacketMessage>(maxQueuedMessages);
  #head: SeqpacketMessage | undefined;

  /** Takes ownership of a connected, non-blocking descriptor. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Connects at once, or throws an error. The peer must listen, but need not have accepted the connection. */
  static connect(path: string): SeqpacketConnection {
    const address = unixAddress(path);
    const fd = seqpacketSocket();
    if (libc().connect(fd, address, address.length) < 0) {
      const error = systemError(`connect to ${path}`, lastErrorName());
      libc().close(fd);
      throw error;
    }
    return new SeqpacketConnection(fd);
  }

  /** Starts to read. Earlier messages are still delivered. */
  start(handler: SeqpacketHandler): void {
    invariant(this.#handler === undefined, "a seqpacket connection must be started only once");
    this.#handler = handler;
    if (this.#fd >= 0) this.#reading = watchReadable(this.#fd, () => this.#receiveAll());
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * Sends or queues a message. Its descriptors must stay open until `sent` is called. Throws an error if the connection
   * is closed, or if 4096 messages wait.
   */
  send(bytes: Buffer, descriptors: readonly number[] = [], sent?: () => void): void {
    if (this.#fd < 0) throw systemError("send", "ENOTCONN");
    invariant(
      descriptors.length <= maxDescriptorsPerMessage,
      `a message carries at most ${maxDescriptorsPerMessage} descriptors`,
    );
    const message = { bytes, descriptors, sent };
    if (this.#head === undefined && this.#trySend(message)) return;
    if (this.#head === undefined) this.#head = message;
    else if (!this.#queue.push(message)) throw systemError("send", "ENOBUFS");
    this.#writing ??= watchWritable(this.#fd, () => this.#flush());
  }

  close(): void {
    this.#closeWith(undefined);
  }

  #flush(): void {
    while (this.#head !== undefined) {
      try {
        if (!this.#trySend(this.#head)) return;
      } catch (error) {
        this.#closeWith(error as SerinError);
        return;
      }
      this.#head = this.#queue.shift();
    }
    this.#writing?.[Symbol.dispose]();
    this.#writing = undefined;
  }

  #trySend(message: SeqpacketMessage & { readonly sent?: (() => void) | undefined }): boolean {
    const control = controlMessage(message.descriptors);
    const header = messageHeader(message.bytes, control);
    if (libc().sendmsg(this.#fd, header.bytes, doNotWait | noSignal) < 0) {
      const name = lastErrorName();
      if (name === "EAGAIN") return false;
      throw systemError("send", name);
    }
    message.sent?.();
    return true;
  }

  #receiveAll(): void {
    while (this.#fd >= 0) {
      const data = Buffer.alloc(maxMessageBytes);
      const control = Buffer.alloc(controlHeaderBytes + maxDescriptorsPerMessage * 4 + 4);
      const header = messageHeader(data, control);
      const length = libc().recvmsg(this.#fd, header.bytes, doNotWait | closeOnExecReceived);
      if (length < 0) {
        const name = lastErrorName();
        if (name === "EAGAIN" || name === "EINTR") return;
        return this.#closeWith(name === "ECONNRESET" ? undefined : systemError("receive", name));
      }
      if (length === 0) return this.#closeWith(undefined);
      const descriptors = receivedDescriptors(header.bytes, control);
      if ((header.bytes.readInt32LE(48) & controlTruncated) !== 0) {
        for (const fd of descriptors) libc().close(fd);
        return this.#closeWith(systemError("receive descriptors", "EMFILE"));
      }
      this.#handler?.message({ bytes: data.subarray(0, length), descriptors });
    }
  }

  #closeWith(error: SerinError | undefined): void {
    if (this.#fd < 0) return;
    this.#reading?.[Symbol.dispose]();
    this.#writing?.[Symbol.dispose]();
    libc().close(this.#fd);
    this.#fd = -1;
    const handler = this.#handler;
    if (handler !== undefined) queueMicrotask(() => handler.close(error));
  }
}

/**
 * Accepts connections of type SOCK_SEQPACKET at a path. It replaces a socket file of a server that no longer listens.
 */
export class SeqpacketServer implements Disposable {
  readonly path: string;
  #fd: number;
  #accepting: Disposable | undefined;

  private constructor(path: string, fd: number, accept: (connection: SeqpacketConnection) => void) {
    this.path = path;
    this.#fd = fd;
    this.#accepting = watchReadable(fd, () => this.#acceptAll(accept));
  }

  static listen(path: string, accept: (connection: SeqpacketConnection) => void): SeqpacketServer {
    removeStale(path);
    const address = unixAddress(path);
    const fd = seqpacketSocket();
    try {
      check(`bind to ${path}`, libc().bind(fd, address, address.length));
      check(`listen on ${path}`, libc().listen(fd, 128));
    } catch (error) {
      libc().close(fd);
      throw error;
    }
    return new SeqpacketServer(path, fd, accept);
  }

  /** Stops accepting, and removes the file. Open connections continue. */
  close(): void {
    if (this.#fd < 0) return;
    this.#accepting?.[Symbol.dispose]();
    this.#accepting = undefined;
    libc().close(this.#fd);
    this.#fd = -1;
    try {
      unlinkSync(this.path);
    } catch {
      // Somebody has already removed the file or its directory.
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #acceptAll(accept: (connection: SeqpacketConnection) => void): void {
    while (this.#fd >= 0) {
      const fd = libc().accept4(this.#fd, null, null, linux.closeOnExec | linux.nonBlocking);
      if (fd < 0) return;
      accept(new SeqpacketConnection(fd));
    }
  }
}

function seqpacketSocket(): number {
  return check(
    "socket",
    libc().socket(linux.familyUnix, linux.socketSeqpacket | linux.closeOnExec | linux.nonBlocking, 0),
  );
}

function unixAddress(path: string): Buffer {
  const name = Buffer.from(path);
  if (name.length > maxPathBytes) {
    throw userError(
      "socket-path-long",
      `the socket path ${path} has ${name.length} bytes, at most ${maxPathBytes} are allowed`,
      {
        hint: "choose a shorter directory",
      },
    );
  }
  const out = Buffer.alloc(110);
  out.writeUInt16LE(linux.familyUnix, 0);
  name.copy(out, 2);
  return out;
}

/**
 * Removes the socket file if nobody listens on it. If a server does, the file stays, and binding then fails with
 * EADDRINUSE.
 */
function removeStale(path: string): void {
  const fd = seqpacketSocket();
  const address = unixAddress(path);
  const refused = libc().connect(fd, address, address.length) < 0 && lastErrorName() === "ECONNREFUSED";
  libc().close(fd);
  if (refused) unlinkSync(path);
}

interface MessageHeader {
  readonly bytes: Buffer;
  /** The memory that the header points to. Keep it as long as the header. */
  readonly parts: readonly Buffer[];
}

/**
 * `struct msghdr` of 64-bit Linux: the pointer to the only iovec at offset 16, the number of iovecs at 24, the control
 * buffer at 32, and flags at 48.
 */
function messageHeader(data: Buffer, control: Buffer | undefined): MessageHeader {
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(BigInt(addressOf(data)), 0);
  vector.writeBigUInt64LE(BigInt(data.length), 8);
  const bytes = Buffer.alloc(messageHeaderBytes);
  bytes.writeBigUInt64LE(BigInt(addressOf(vector)), 16);
  bytes.writeBigUInt64LE(1n, 24);
  if (control !== undefined) {
    bytes.writeBigUInt64LE(BigInt(addressOf(control)), 32);
    bytes.writeBigUInt64LE(BigInt(control.length), 40);
  }
  return { bytes, parts: [vector, data, ...(control === undefined ? [] : [control])] };
}

function controlMessage(descriptors: readonly number[]): Buffer | undefined {
  if (descriptors.length === 0) return undefined;
  const out = Buffer.alloc(controlHeaderBytes + Math.ceil(descriptors.length / 2) * 8);
  out.writeBigUInt64LE(BigInt(controlHeaderBytes + descriptors.length * 4), 0);
  out.writeInt32LE(linux.levelSocket, 8);
  out.writeInt32LE(1, 12); // SCM_RIGHTS
  descriptors.forEach((fd, index) => out.writeInt32LE(fd, controlHeaderBytes + index * 4));
  return out;
}

function receivedDescriptors(header: Buffer, control: Buffer): number[] {
  if (Number(header.readBigUInt64LE(40)) < controlHeaderBytes) return [];
  const end = Number(control.readBigUInt64LE(0));
  const descriptors: number[] = [];
  for (let offset = controlHeaderBytes; offset + 4 <= end; offset += 4) descriptors.push(control.readInt32LE(offset));
  return descriptors;
}

import { connect as connectSocket, createServer, Socket } from "node:net";
import { contained, transientError, onAbort, SharedTimeouts, systemClock } from "../base/index.ts";
import { ipFamilyOf, unmapIp } from "../wire/netlink/index.ts";
import type { ByteListener, ByteStream, ConnectOptions } from "./byte-stream.ts";
import { HandleStream, type HandleBacking } from "./handle-stream.ts";
import { libuvBinding, type LibuvBinding, type NameOut, type TcpHandle } from "./libuv-binding.ts";
import {
  acceptWaiting,
  beginConnect,
  bindTcpInNamespace,
  closeDescriptor,
  openTcpSocketInNamespace,
  resetOnClose,
  sendEnd,
} from "./namespace-socket.ts";
import { networkError, systemError, uvError } from "./node-error.ts";
import { SocketStream } from "./socket-stream.ts";
import { keepAlive } from "./tcp-keepalive.ts";

const defaultBacklog = 4096;
const noBytes = new Uint8Array(0);
/**
 * The maximum number of connections that a listener accepts in one turn of the event loop, before other sockets have
 * their turn.
 */
const acceptsPerTurn = 16;

/** Where to listen: on a given descriptor, whose ownership passes to the callee, or on an address. */
export type ListenOptions =
  | {
      readonly fd: number;
      /**
       * Called after each accepted connection. Returns whether another one that waits is accepted in the same turn of
       * the event loop. If absent, each turn accepts one. Needs libc, which it loads.
       */
      readonly acceptsMore?: () => boolean;
    }
  | {
      readonly address: string;
      /** 0 means any free port. */
      readonly port: number;
      /** SO_REUSEPORT: whether several processes or threads may listen. */
      readonly reusePort?: boolean;
      readonly backlog?: number;
      /**
       * Whether the address is only reserved at first, if this version of Node can do that. The socket refuses clients
       * until {@link ByteListener.begin}.
       */
      readonly held?: boolean;
      /** Whether to accept connections to addresses of other hosts (IP_TRANSPARENT). */
      readonly transparent?: boolean;
    };

/** One implementation of the byte path. */
export interface BytePath {
  readonly kind: "libuv" | "node";
  connectTcp(options: ConnectOptions): Promise<ByteStream>;
  listenTcp(options: ListenOptions, accept: (stream: ByteStream) => void): Promise<ByteListener>;
  /** Makes a stream from a connected socket. Takes ownership of the descriptor. */
  adoptTcp(fd: number): ByteStream;
}

/**
 * Opens a socket for an outgoing connection in advance, if the options need a socket that Node cannot open. Undefined
 * otherwise.
 */
function preparedSocket(options: ConnectOptions): number | undefined {
  const { namespaceFd, mark, sourceAddress, address } = options;
  if (namespaceFd === undefined && mark === undefined && sourceAddress === undefined) return undefined;
  return openTcpSocketInNamespace(namespaceFd, { family: ipFamilyOf(address), mark, sourceAddress });
}

function connectName(options: ConnectOptions): string {
  return `connect to ${options.address}:${options.port}`;
}

const timeouts = new SharedTimeouts(systemClock);

/** Calls `giveUp` with the reason when the time is over or the signal aborts. Disposing the result stops both. */
function limit(options: ConnectOptions, giveUp: (error: Error) => void): Disposable {
  const { signal, timeoutMs } = options;
  const timer = timeouts.after(timeoutMs, () =>
    giveUp(transientError("timeout", `${connectName(options)}: no answer in ${timeoutMs} ms`)),
  );
  // Give up in a microtask, because the signal may have aborted before this call. The caller then has not yet got the
  // result that it disposes when it gives up.
  const abortBecauseOf = (reason: unknown): void =>
    queueMicrotask(() => giveUp(transientError("aborted", `${connectName(options)}: aborted`, { cause: reason })));
  options.onStart?.(abortBecauseOf);
  if (signal === undefined) return timer;
  const abort = onAbort(signal, () => abortBecauseOf(signal.reason));
  return {
    [Symbol.dispose]: () => {
      timer[Symbol.dispose]();
      abort[Symbol.dispose]();
    },
  };
}

class TcpBacking implements HandleBacking {
  readonly handle: TcpHandle;
  readonly tls = false;

  constructor(handle: TcpHandle) {
    this.handle = handle;
  }

  name(which: "local" | "remote", out: NameOut): number {
    return which === "local" ? this.handle.getsockname(out) : this.handle.getpeername(out);
  }

  sendEnd(): boolean {
    return sendEnd(this.handle.fd);
  }

  close(reset: boolean, done: () => void): void {
    if (reset) resetOnClose(this.handle.fd);
    this.handle.close(done);
  }
}

class LibuvPath implements BytePath {
  readonly kind = "libuv";
  readonly #binding: LibuvBinding;

  constructor(binding: LibuvBinding) {
    this.#binding = binding;
  }

  connectTcp(options: ConnectOptions): Promise<ByteStream> {
    return new Promise((resolve, reject) => {
      const handle = this.#binding.newSocket();
      let settled = false;
      const settle = (error: Error | undefined): void => {
        if (settled) return;
        settled = true;
        limits[Symbol.dispose]();
        if (error === undefined) return resolve(this.#stream(handle));
        handle.close();
        reject(error);
      };
      const limits = limit(options, settle);
      try {
        this.#dial(handle, options, (status) =>
          settle(status === 0 ? undefined : uvError(connectName(options), status)),
        );
      } catch (error) {
        settle(networkError(connectName(options), error));
      }
    });
  }

  listenTcp(options: ListenOptions, accept: (stream: ByteStream) => void): Promise<ByteListener> {
    const server = this.#binding.newServer();
    const operation =
      "fd" in options ? `listen on descriptor ${options.fd}` : `listen on ${options.address}:${options.port}`;
    const acceptsMore = "fd" in options ? options.acceptsMore : undefined;
    server.onconnection = (connectStatus, handle) => {
      if (connectStatus !== 0) return;
      acceptSafely(new HandleStream(this.#binding, new TcpBacking(handle)), accept);
      if (acceptsMore !== undefined) this.#acceptMore(server, acceptsMore, accept);
    };
    const held = "held" in options && options.held === true;
    const out: NameOut = {};
    let status: number;
    try {
      status = this.#bind(server, options);
    } catch (error) {
      server.close();
      return Promise.reject(networkError(operation, error));
    }
    // Set the option on the listener, because accepted sockets inherit it.
    if (status === 0) server.setNoDelay(true);
    if (status === 0 && !held) status = server.listen(backlogOf(options));
    // libuv reports an address that is in use only at the next call.
    if (status === 0) status = server.getsockname(out);
    if (status !== 0) {
      server.close();
      return Promise.reject(uvError(operation, status));
    }
    const address = { address: out.address ?? "", port: out.port ?? 0 };
    let open = true;
    const close = (): void => {
      if (open) server.close();
      open = false;
    };
    if (!held) return Promise.resolve({ address, close });
    const begin = async (): Promise<void> => {
      const begun = open ? server.listen(backlogOf(options)) : 0;
      if (begun !== 0) throw uvError(operation, begun);
      await Promise.resolve();
    };
    return Promise.resolve({ address, close, begin });
  }

  /**
   * Accepts further connections in the same turn: libuv accepts one in each turn. A tunnel then sends the requests of
   * several connections in one write.
   */
  #acceptMore(server: TcpHandle, acceptsMore: () => boolean, accept: (stream: ByteStream) => void): void {
    for (let accepted = 1; accepted < acceptsPerTurn && acceptsMore(); accepted += 1) {
      // A listener that was closed meanwhile has no descriptor.
      const fd = acceptWaiting(server.fd);
      if (fd === undefined) return;
      const handle = this.#binding.newSocket();
      if (open(handle, fd) === 0) acceptSafely(new HandleStream(this.#binding, new TcpBacking(handle)), accept);
    }
  }

  adoptTcp(fd: number): ByteStream {
    const handle = this.#binding.newSocket();
    const status = handle.open(fd);
    if (status !== 0) throw uvError(`adopt descriptor ${fd}`, status);
    return this.#stream(handle);
  }

  #stream(handle: TcpHandle): ByteStream {
    handle.setNoDelay(true);
    return new HandleStream(this.#binding, new TcpBacking(handle));
  }

  #dial(handle: TcpHandle, options: ConnectOptions, done: (status: number) => void): void {
    const fd = preparedSocket(options);
    const { address, port } = options;
    // Leave addresses with an IPv6 zone to libuv, because only it resolves zones.
    if (fd !== undefined && !address.includes("%")) return this.#dialPrepared(handle, fd, options, done);
    const opened = fd === undefined ? 0 : open(handle, fd);
    if (opened !== 0) return done(opened);
    const request = this.#binding.newConnectRequest();
    request.oncomplete = done;
    const status =
      ipFamilyOf(address) === "ipv6" ? handle.connect6(request, address, port) : handle.connect(request, address, port);
    if (status !== 0) done(status);
  }

  /**
   * Connects a socket of our own. If it is connected at once, as a socket to an application in the same namespace is,
   * libuv need not watch it.
   */
  #dialPrepared(handle: TcpHandle, fd: number, options: ConnectOptions, done: (status: number) => void): void {
    let isConnected: boolean;
    try {
      isConnected = beginConnect(fd, options);
    } catch (error) {
      closeDescriptor(fd);
      throw error;
    }
    const opened = open(handle, fd);
    if (opened !== 0) return done(opened);
    // Report the connection only after this call, so that a caller that has given up by then learns that first.
    if (isConnected) return queueMicrotask(() => done(0));
    // libuv refuses to connect the socket again. So make an empty write: it completes when the socket is connected, or
    // fails with the reason why it is not.
    const request = this.#binding.newWriteRequest();
    request.oncomplete = done;
    const status = handle.writeBuffer(request, noBytes);
    if (status !== 0 || !this.#binding.lastWriteWasAsync()) done(status);
  }

  #bind(server: TcpHandle, options: ListenOptions): number {
    if ("fd" in options) return server.open(options.fd);
    if (options.transparent === true) return open(server, transparentSocket(options));
    const flags = options.reusePort === true ? this.#binding.reusePortFlag : 0;
    if (ipFamilyOf(options.address) === "ipv4") return server.bind(options.address, options.port, flags);
    return server.bind6(options.address, options.port, flags);
  }
}

/** Accepts a connection, and closes it if that fails. The listener continues. */
function acceptSafely(stream: ByteStream, accept: (stream: ByteStream) => void): void {
  try {
    accept(stream);
  } catch (error) {
    stream.destroy({ error: contained(error), reset: true });
  }
}

function open(handle: TcpHandle, fd: number): number {
  const status = handle.open(fd);
  if (status !== 0) closeDescriptor(fd);
  return status;
}

/** Opens a socket with IP_TRANSPARENT. On `::`, it accepts both families, like the sockets of libuv and Node. */
function transparentSocket({ address, port, reusePort }: Exclude<ListenOptions, { fd: number }>): number {
  return bindTcpInNamespace(undefined, {
    address,
    port,
    transparent: true,
    ipv6Only: false,
    ...(reusePort === undefined ? {} : { reusePort }),
  });
}

function backlogOf(options: ListenOptions): number {
  return "fd" in options ? defaultBacklog : (options.backlog ?? defaultBacklog);
}

class NodePath implements BytePath {
  readonly kind = "node";

  connectTcp(options: ConnectOptions): Promise<ByteStream> {
    return new Promise((resolve, reject) => {
      let settled = false;
      let socket: Socket | undefined;
      const settle = (error: Error | undefined): void => {
        if (settled) return;
        settled = true;
        limits[Symbol.dispose]();
        socket?.removeAllListeners();
        if (error === undefined && socket !== undefined) return resolve(new SocketStream(socket));
        socket?.on("error", () => undefined).destroy();
        reject(error ?? systemError(connectName(options), "ECANCELED"));
      };
      const limits = limit(options, settle);
      try {
        socket = dialSocket(options);
        socket.once("connect", () => settle(undefined));
        socket.once("error", (error) => settle(networkError(connectName(options), error)));
      } catch (error) {
        settle(networkError(connectName(options), error));
      }
    });
  }

  listenTcp(options: ListenOptions, accept: (stream: ByteStream) => void): Promise<ByteListener> {
    if ("held" in options && options.held === true) return Promise.resolve(this.#held(options, accept));
    return new Promise((resolve, reject) => {
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) =>
        acceptSafely(new SocketStream(socket), accept),
      );
      const operation =
        "fd" in options ? `listen on descriptor ${options.fd}` : `listen on ${options.address}:${options.port}`;
      server.once("error", (error) => reject(networkError(operation, error)));
      const done = (): void => {
        const bound = server.address();
        const address =
          bound !== null && typeof bound === "object"
            ? { address: unmapIp(bound.address), port: bound.port }
            : { address: "", port: 0 };
        resolve({ address, close: () => void server.close() });
      };
      const fd = "fd" in options ? options.fd : options.transparent === true ? transparentSocket(options) : undefined;
      if (fd !== undefined) server.listen({ fd, backlog: backlogOf(options) }, done);
      else if ("address" in options)
        server.listen(
          {
            host: options.address,
            port: options.port,
            backlog: backlogOf(options),
            reusePort: options.reusePort === true,
          },
          done,
        );
    });
  }

  /**
   * A listener that only reserves its address: sockets of node:net cannot be bound without listening, so this one opens
   * later.
   */
  #held(options: Exclude<ListenOptions, { fd: number }>, accept: (stream: ByteStream) => void): ByteListener {
    let listener: ByteListener | undefined;
    let open = true;
    return {
      address: { address: options.address, port: options.port },
      begin: async () => {
        listener = await this.listenTcp({ ...options, held: false }, accept);
        if (!open) listener.close();
      },
      close: () => {
        open = false;
        listener?.close();
      },
    };
  }

  adoptTcp(fd: number): ByteStream {
    return new SocketStream(new Socket({ fd, readable: true, writable: true, allowHalfOpen: true }));
  }
}

function dialSocket(options: ConnectOptions): Socket {
  const fd = preparedSocket(options);
  const target = { host: options.address, port: options.port };
  if (fd === undefined) return connectSocket({ ...target, allowHalfOpen: true });
  // Do not let Node start reading at once, which it does for a given descriptor and which fails on a socket that is not
  // connected yet. Node's types lack `manualStart`.
  const socket = new Socket({
    fd,
    readable: true,
    writable: true,
    allowHalfOpen: true,
    manualStart: true,
  } as ConstructorParameters<typeof Socket>[0]);
  return socket.connect(target);
}

let chosen: BytePath | undefined;

/** Returns the byte path of that kind, for tests. Undefined if this version of Node cannot run it. */
export function bytePath(kind: BytePath["kind"]): BytePath | undefined {
  if (kind === "node") return new NodePath();
  const binding = libuvBinding();
  return binding === undefined ? undefined : new LibuvPath(binding);
}

function best(): BytePath {
  chosen ??= bytePath("libuv") ?? new NodePath();
  return chosen;
}

/**
 * Connects to an IP address. Error codes: `timeout`, `connection-refused`, `host-unreachable`, `aborted` and others.
 */
export function connectTcp(options: ConnectOptions): Promise<ByteStream> {
  const { keepalive } = options;
  const connected = best().connectTcp(options);
  if (keepalive === undefined) return connected;
  return connected.then((stream) => {
    keepAlive(stream, keepalive);
    return stream;
  });
}

/**
 * Accepts connections until closed. Passes each stream to `accept` in paused state. Error codes: `address-in-use` and
 * others.
 */
export function listenTcp(options: ListenOptions, accept: (stream: ByteStream) => void): Promise<ByteListener> {
  return best().listenTcp(options, accept);
}

/**
 * Makes a paused stream from the descriptor of a connected socket, and takes ownership of the descriptor. Throws if it
 * is not a connected socket.
 */
export function adoptTcp(fd: number): ByteStream {
  return best().adoptTcp(fd);
}

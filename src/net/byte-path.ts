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
/** The maximum number of connections that a listener accepts before other sockets have their turn of the event loop. */
const acceptsPerTurn = 16;

/** Where to listen: on a given descriptor, which listening takes ownership of, or on an address. */
export type ListenOptions =
  | {
      readonly fd: number;
      /**
       * Called after each accepted connection. If it returns true, a connection that already waits is accepted in the
       * same turn of the event loop. If absent, each turn accepts one connection. It needs libc, which it loads.
       */
      readonly acceptsMore?: () => boolean;
    }
  | {
      readonly address: string;
      /** 0 means any free port. */
      readonly port: number;
      /** SO_REUSEPORT: whether several processes or threads may listen on the address. */
      readonly reusePort?: boolean;
      readonly backlog?: number;
      /**
       * Whether to only reserve the address at the beginning, if this version of Node can do that. The socket refuses
       * clients until {@link ByteListener.begin}.
       */
      readonly held?: boolean;
      /** Whether to accept connections to addresses of other hosts (IP_TRANSPARENT). */
      readonly transparent?: boolean;
    };

export interface BytePath {
  readonly kind: "libuv" | "node";
  connectTcp(options: ConnectOptions): Promise<ByteStream>;
  listenTcp(options: ListenOptions, accept: (stream: ByteStream) => void): Promise<ByteListener>;
  /** Makes a stream of a connected socket, and takes ownership of the descriptor. */
  adoptTcp(fd: number): ByteStream;
}

/**
 * A socket for an outgoing connection with options that Node does not support. Undefined if Node can open the socket.
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

/**
 * Calls `giveUp` with the reason when the time is over, or when the signal aborts. Disposing of the result cancels
 * both.
 */
function limit(options: ConnectOptions, giveUp: (error: Error) => void): Disposable {
  const { signal, timeoutMs } = options;
  const timer = timeouts.after(timeoutMs, () =>
    giveUp(transientError("timeout", `${connectName(options)}: no answer in ${timeoutMs} ms`)),
  );
  // Give up in a microtask. The signal may have aborted already, and the caller needs this function's result before it
  // can give up.
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
    // Set the option on the listener. The sockets that it accepts inherit it.
    if (status === 0) server.setNoDelay(true);
    if (status === 0 && !held) status = server.listen(backlogOf(options));
    // libuv reports an address in use only at the next call.
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
   * Accepts further connections in this turn of the event loop, where libuv would accept one. A tunnel can then send
   * the requests of several connections in one write.
   */
  #acceptMore(server: TcpHandle, acceptsMore: () => boolean, accept: (stream: ByteStream) => void): void {
    for (let accepted = 1; accepted < acceptsPerTurn && acceptsMore(); accepted += 1) {
      // A listener that `accept` has closed has no descriptor.
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
    // Leave addresses with an IPv6 zone to libuv, which resolves zones.
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
   * Connects a socket of our own. A socket to an application in the same namespace is connected at once, and libuv then
   * need not watch it.
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
    // Report the connection after this call, so that a caller that gives up in the meantime learns that first.
    if (isConnected) return queueMicrotask(() => done(0));
    // libuv refuses to connect the socket again. Make an empty write instead: it completes when the socket is
    // connected, or fails with the reason why it is not.
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

/** Opens a socket with IP_TRANSPARENT. On `::`, it accepts IPv4 too, like the sockets of libuv and Node. */
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
   * A listener with `held`. It does not reserve the address: sockets of node:net cannot be bound without listening, so
   * this one opens in `begin`.
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
  // Keep Node from reading at once, as it does on a given descriptor. Reading fails on a socket that is not connected
  // yet. Node's types lack `manualStart`.
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

/** The byte path of that kind, for tests. Undefined if this version of Node cannot run it. */
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
 * Connects to an IP address. Rejects with `timeout`, `connection-refused`, `host-unreachable`, `aborted` and other
 * codes.
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
 * Accepts connections until the listener closes, and passes each to `accept` as a paused stream. Rejects with
 * `address-in-use` and other codes.
 */
export function listenTcp(options: ListenOptions, accept: (stream: ByteStream) => void): Promise<ByteListener> {
  return best().listenTcp(options, accept);
}

/**
 * Makes a paused stream of a connected socket, and takes ownership of the descriptor. Throws an error if it is no
 * connected socket.
 */
export function adoptTcp(fd: number): ByteStream {
  return best().adoptTcp(fd);
}

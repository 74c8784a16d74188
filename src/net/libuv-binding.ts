// Node's internal bindings for TCP, which are no public API, so only this file uses them. If this version of Node lacks
// them, {@link libuvBinding} returns undefined, and streams use node:net.

/** A libuv stream as Node wraps it: TCP, or TLS over TCP. Negative results are libuv's errors. */
export interface StreamHandle {
  readonly fd: number;
  onread: () => Buffer | undefined;
  useUserBuffer(buffer: Buffer): void;
  readStart(): number;
  readStop(): number;
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  /** All chunks must be buffers. */
  writev(request: WriteRequest, chunks: readonly Uint8Array[], allBuffers: true): number;
  /** Returns 1 if the side has already ended. */
  shutdown(request: ShutdownRequest): number;
  close(done?: () => void): void;
}

export interface TcpHandle extends StreamHandle {
  open(fd: number): number;
  bind(address: string, port: number, flags: number): number;
  bind6(address: string, port: number, flags: number): number;
  listen(backlog: number): number;
  onconnection: (status: number, handle: TcpHandle) => void;
  connect(request: ConnectRequest, address: string, port: number): number;
  connect6(request: ConnectRequest, address: string, port: number): number;
  setNoDelay(enable: boolean): number;
  reset(done?: () => void): number;
  getsockname(out: NameOut): number;
  getpeername(out: NameOut): number;
  ref(): void;
  unref(): void;
}

export interface NameOut {
  address?: string;
  port?: number;
}

export interface ConnectRequest {
  oncomplete: (status: number) => void;
}

export interface WriteRequest {
  oncomplete: (status: number) => void;
  /**
   * The chunks of a write that has not completed. libuv holds no reference to them, so without this one they could be
   * collected before the kernel has read them.
   */
  chunks?: readonly Uint8Array[];
}

export interface ShutdownRequest {
  oncomplete: (status: number) => void;
}

/** A connection in memory. Its owner sets the functions that Node calls. */
export interface JsStreamHandle {
  onreadstart: () => number;
  onreadstop: () => number;
  /** Ends the connection. The owner completes the request with {@link finishShutdown}. */
  onshutdown: (request: ShutdownRequest) => number;
  /** Writes to the connection. The owner completes the request with {@link finishWrite}. */
  onwrite: (request: WriteRequest, chunks: readonly Buffer[]) => number;
  isClosing: () => boolean;
  close: (done?: () => void) => void;
  /** Passes received bytes to Node. */
  readBuffer(bytes: Buffer): void;
  emitEOF(): void;
  finishWrite(request: WriteRequest, status: number): void;
  finishShutdown(request: ShutdownRequest, status: number): void;
}

export interface LibuvBinding {
  newSocket(): TcpHandle;
  newServer(): TcpHandle;
  /** Absent if this version of Node has no such connections. */
  readonly newJsStream?: () => JsStreamHandle;
  newConnectRequest(): ConnectRequest;
  newWriteRequest(): WriteRequest;
  newShutdownRequest(): ShutdownRequest;
  /** The result of the read whose callback is running: a number of bytes, or a negative error. */
  readResult(): number;
  /** Whether the last write has not completed yet. */
  lastWriteWasAsync(): boolean;
  readonly reusePortFlag: number;
}

export const uvEndOfFile = -4095;

interface TcpWrapModule {
  TCP: new (type: number) => TcpHandle;
  TCPConnectWrap: new () => ConnectRequest;
  constants: { SOCKET: number; SERVER: number; UV_TCP_REUSEPORT?: number };
}

interface StreamWrapModule {
  WriteWrap: new () => WriteRequest;
  ShutdownWrap: new () => ShutdownRequest;
  kReadBytesOrError: number;
  kLastWriteWasAsync: number;
  streamBaseState: Int32Array;
}

interface JsStreamModule {
  JSStream: new () => JsStreamHandle;
}

function loadModule(name: string): unknown {
  const { binding } = process as unknown as { binding?: (name: string) => unknown };
  if (typeof binding !== "function") return undefined;
  const silent = process.noDeprecation;
  process.noDeprecation = true;
  try {
    return binding.call(process, name);
  } catch {
    return undefined;
  } finally {
    if (silent === undefined) delete (process as { noDeprecation?: boolean }).noDeprecation;
    else process.noDeprecation = silent;
  }
}

let loaded: LibuvBinding | undefined | null = null;

/** The bindings. Undefined if this Node lacks them, or has them in another form. */
export function libuvBinding(): LibuvBinding | undefined {
  if (loaded === null) loaded = probe();
  return loaded;
}

function probe(): LibuvBinding | undefined {
  const tcp = loadModule("tcp_wrap") as Partial<TcpWrapModule> | undefined;
  const stream = loadModule("stream_wrap") as Partial<StreamWrapModule> | undefined;
  if (!isTcpModule(tcp) || !isStreamModule(stream)) return undefined;
  const { TCP, TCPConnectWrap, constants } = tcp;
  const { WriteWrap, ShutdownWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = stream;
  const memory = loadModule("js_stream") as Partial<JsStreamModule> | undefined;
  return {
    newSocket: () => new TCP(constants.SOCKET),
    newServer: () => new TCP(constants.SERVER),
    ...(isJsStreamModule(memory) ? { newJsStream: () => new memory.JSStream() } : {}),
    newConnectRequest: () => new TCPConnectWrap(),
    newWriteRequest: () => new WriteWrap(),
    newShutdownRequest: () => new ShutdownWrap(),
    readResult: () => streamBaseState[kReadBytesOrError] ?? 0,
    lastWriteWasAsync: () => streamBaseState[kLastWriteWasAsync] !== 0,
    reusePortFlag: constants.UV_TCP_REUSEPORT ?? 0,
  };
}

function isTcpModule(module: Partial<TcpWrapModule> | undefined): module is TcpWrapModule {
  if (typeof module?.TCP !== "function" || typeof module.TCPConnectWrap !== "function") return false;
  const methods = module.TCP.prototype as Partial<TcpHandle>;
  const needed = [
    "open",
    "listen",
    "connect",
    "connect6",
    "readStart",
    "readStop",
    "writeBuffer",
    "writev",
    "shutdown",
    "close",
    "useUserBuffer",
  ] as const;
  return needed.every((name) => typeof methods[name] === "function") && typeof module.constants?.SOCKET === "number";
}

function isStreamModule(module: Partial<StreamWrapModule> | undefined): module is StreamWrapModule {
  return (
    typeof module?.WriteWrap === "function" &&
    typeof module.ShutdownWrap === "function" &&
    typeof module.kReadBytesOrError === "number" &&
    typeof module.kLastWriteWasAsync === "number" &&
    module.streamBaseState !== undefined
  );
}

function isJsStreamModule(module: Partial<JsStreamModule> | undefined): module is JsStreamModule {
  if (typeof module?.JSStream !== "function") return false;
  const methods = module.JSStream.prototype as Partial<JsStreamHandle>;
  return (["readBuffer", "emitEOF", "finishWrite", "finishShutdown"] as const).every(
    (name) => typeof methods[name] === "function",
  );
}

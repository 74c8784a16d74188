import { moduleCache } from "../base/index.ts";
import { randomInt } from "node:crypto";
import { ipFamilyOf, ipToBytes, bytesToIp, type IpFamily } from "../wire/netlink/index.ts";
import type { ByteStream, SocketAddress } from "./byte-stream.ts";
import { ForeignPorts } from "./foreign-ports.ts";
import { check, lastErrorName, libc, linux, loadedLibc } from "./libc.ts";
import { inNamespace } from "./network-namespace.ts";
import { systemError } from "./node-error.ts";

export interface NamespaceSocketOptions {
  readonly address: string;
  readonly port: number;
  /** IP_TRANSPARENT: whether to accept connections to addresses of other hosts. */
  readonly transparent?: boolean;
  readonly reusePort?: boolean;
  /** Whether a socket on `::` accepts only IPv6. True if absent. */
  readonly ipv6Only?: boolean;
  /** SO_MARK. */
  readonly mark?: number;
}

export interface NamespaceListenOptions extends NamespaceSocketOptions {
  /** How many connections may wait to be accepted. 4096 if absent. */
  readonly backlog?: number;
}

export interface ConnectingSocketOptions {
  readonly family: IpFamily;
  readonly mark?: number | undefined;
  /**
   * The local address of the connection, which may belong to another host. Unless it is a loopback address, it needs
   * IP_TRANSPARENT, which this sets.
   */
  readonly sourceAddress?: string | undefined;
  /**
   * The local port of the connection. If absent, it is chosen automatically. For another host's address, it must be
   * outside of that host's own ephemeral range.
   */
  readonly sourcePort?: number;
}

const defaultBacklog = 4096;

const foreignPorts = new ForeignPorts(randomInt);

/** Memory for the arguments of calls, which read it only during the call. */
const optionBytes = Buffer.alloc(4);
const addressBytes = Buffer.alloc(28);
const lengthBytes = Buffer.alloc(4);

/**
 * Opens a listening TCP socket in a namespace, or in the thread's own if `namespaceFd` is undefined. The caller owns
 * the descriptor.
 */
export function listenTcpInNamespace(namespaceFd: number | undefined, options: NamespaceListenOptions): number {
  return inNamespace(namespaceFd, () => {
    const fd = boundSocket(linux.socketStream, options);
    // Set the option on the listener. The sockets that it accepts inherit it, even those that already wait.
    setOption(fd, linux.levelTcp, linux.noDelay, 1);
    if (libc().listen(fd, options.backlog ?? defaultBacklog) < 0)
      throw closedAfter(fd, `listen on ${options.address}:${options.port}`);
    return fd;
  });
}

/** Like {@link listenTcpInNamespace}, but the socket does not listen yet. */
export function bindTcpInNamespace(namespaceFd: number | undefined, options: NamespaceSocketOptions): number {
  return inNamespace(namespaceFd, () => boundSocket(linux.socketStream, options));
}

/** Opens a bound UDP socket for `bind({ fd })` of `dgram`. To serve the loopback, bind 127.0.0.1 and ::1 separately. */
export function bindUdpInNamespace(namespaceFd: number | undefined, options: NamespaceSocketOptions): number {
  return inNamespace(namespaceFd, () => boundSocket(linux.socketDatagram, options));
}

/** Opens an unconnected TCP socket for {@link connectTcp} or `net.Socket({ fd })`. */
export function openTcpSocketInNamespace(namespaceFd: number | undefined, options: ConnectingSocketOptions): number {
  return inNamespace(namespaceFd, () => {
    const fd = openSocket(options.family, linux.socketStream);
    try {
      if (options.mark !== undefined) setOption(fd, linux.levelSocket, linux.mark, options.mark);
      if (options.sourceAddress !== undefined) bindSource(fd, namespaceFd, options.sourceAddress, options.sourcePort);
      return fd;
    } catch (error) {
      libc().close(fd);
      throw error;
    }
  });
}

/** Whether this process may set SO_MARK (CAP_NET_ADMIN or CAP_NET_RAW). */
export function mayMarkSockets(mark: number): boolean {
  try {
    libc().close(openTcpSocketInNamespace(undefined, { family: "ipv4", mark }));
    return true;
  } catch {
    return false;
  }
}

/** The original destination of a redirected connection. Undefined if the connection was not redirected. */
export function originalDestination(socket: {
  readonly fd: number;
  /** The peer's address, which the caller already knows. Its family is that of the destination. */
  readonly remote: SocketAddress;
}): SocketAddress | undefined {
  const ipv6 = ipFamilyOf(socket.remote.address) === "ipv6";
  lengthBytes.writeInt32LE(ipv6 ? 28 : 16);
  const level = ipv6 ? linux.levelIpv6 : linux.levelIp;
  if (libc().getsockopt(socket.fd, level, linux.originalDestination, addressBytes, lengthBytes) < 0) {
    const name = lastErrorName();
    if (name === "ENOENT" || name === "ENOPROTOOPT") return undefined;
    throw systemError("SO_ORIGINAL_DST", name);
  }
  return decodeSocketAddress(addressBytes);
}

export function socketName(fd: number): SocketAddress {
  lengthBytes.writeInt32LE(28);
  check("getsockname", libc().getsockname(fd, addressBytes, lengthBytes));
  return decodeSocketAddress(addressBytes);
}

/**
 * The peer's address. Empty if the stream has closed. It costs less than the stream's own `remote`, but it loads libc.
 */
export function peerOf(stream: ByteStream): SocketAddress {
  const { fd } = stream;
  if (fd < 0) return stream.remote;
  lengthBytes.writeInt32LE(28);
  if (libc().getpeername(fd, addressBytes, lengthBytes) < 0) return { address: "", port: 0 };
  return decodeSocketAddress(addressBytes);
}

const peekWithoutWait = 0x42;
const oneByte = Buffer.alloc(1);

/**
 * Whether bytes of the peer, or its end, have arrived that the event loop has not read yet. A reset does not count,
 * because a write reports it. It loads libc.
 */
export function hasUnreadInput({ fd }: ByteStream): boolean {
  return fd >= 0 && libc().recv(fd, oneByte, oneByte.length, peekWithoutWait) >= 0;
}

/** Makes closing the socket send a RST and drop queued bytes. */
export function resetOnClose(fd: number): void {
  const linger = Buffer.alloc(8);
  linger.writeInt32LE(1, 0);
  libc().setsockopt(fd, linux.levelSocket, linux.linger, linger, linger.length);
}

/**
 * Ends this side of a socket, after everything that was written to it. Returns false if libc is not loaded. A failure
 * is ignored: the peer is gone then, which the next read reports.
 */
export function sendEnd(fd: number): boolean {
  return loadedLibc()?.shutdown(fd, linux.shutWrite) !== undefined;
}

/**
 * Accepts a connection that waits at a non-blocking listener. Undefined if none waits, or if accepting fails. Whoever
 * polls the listener learns of the failure.
 */
export function acceptWaiting(listenerFd: number): number | undefined {
  const fd = libc().accept4(listenerFd, null, null, linux.closeOnExec | linux.nonBlocking);
  return fd < 0 ? undefined : fd;
}

/** Another descriptor of the same socket, file or namespace. */
export function duplicateDescriptor(fd: number): number {
  return check("dup", libc().fcntl(fd, linux.duplicateCloseOnExec, 0));
}

/** Closes a descriptor that the caller owns. Ignores an invalid one. */
export function closeDescriptor(fd: number): void {
  libc().close(fd);
}

function openSocket(family: IpFamily, type: number): number {
  const domain = family === "ipv6" ? linux.familyIpv6 : linux.familyIpv4;
  return check("socket", libc().socket(domain, type | linux.closeOnExec | linux.nonBlocking, 0));
}

function boundSocket(type: number, options: NamespaceSocketOptions): number {
  const family = ipFamilyOf(options.address);
  const fd = openSocket(family, type);
  try {
    setOption(fd, linux.levelSocket, linux.reuseAddress, 1);
    if (options.reusePort === true) setOption(fd, linux.levelSocket, linux.reusePort, 1);
    if (family === "ipv6") setOption(fd, linux.levelIpv6, linux.ipv6Only, options.ipv6Only === false ? 0 : 1);
    if (options.mark !== undefined) setOption(fd, linux.levelSocket, linux.mark, options.mark);
    if (options.transparent === true) setTransparent(fd, family);
    bindTo(fd, options.address, options.port);
    return fd;
  } catch (error) {
    libc().close(fd);
    throw error;
  }
}

function bindSource(fd: number, namespaceFd: number | undefined, address: string, port: number | undefined): void {
  // All of 127/8 is local. So it needs no IP_TRANSPARENT, for which a sidecar may lack the capability.
  const foreign = !address.startsWith("127.") && address !== "::1";
  if (foreign) setTransparent(fd, ipFamilyOf(address));
  if (port !== undefined) return bindTo(fd, address, port);
  if (foreign && bindForeign(fd, namespaceFd, address)) return;
  // Let the kernel choose the port only when it knows both addresses and the remote port. The same local port can then
  // serve connections to many destinations.
  setOption(fd, linux.levelIp, linux.ipBindAddressNoPort, 1);
  bindTo(fd, address, 0);
}

/** Encoded addresses, each with the port of its last use. Most connections use the same few addresses. */
const encodedAddresses = moduleCache<string, Buffer>("socket-addresses", 1024);

/**
 * An address and port in the kernel's encoding. The next call for the same address changes the port in the same bytes.
 */
function encoded(address: string, port: number): Buffer {
  let bytes = encodedAddresses.get(address);
  if (bytes === undefined) encodedAddresses.set(address, (bytes = encodeAddress(address)));
  bytes.writeUInt16BE(port, 2);
  return bytes;
}

function encodeAddress(address: string): Buffer {
  const bytes = ipToBytes(address);
  const out = Buffer.alloc(bytes.length === 16 ? 28 : 16);
  out.writeUInt16LE(bytes.length === 16 ? linux.familyIpv6 : linux.familyIpv4, 0);
  bytes.copy(out, bytes.length === 16 ? 8 : 4);
  return out;
}

/**
 * Begins to connect a non-blocking socket. Returns whether it is already connected: Linux connects two sockets of one
 * namespace during the call, but tells only the second call.
 */
export function beginConnect(fd: number, { address, port }: SocketAddress): boolean {
  const bytes = encoded(address, port);
  const calls = libc();
  if (calls.connect(fd, bytes, bytes.length) === 0 || calls.connect(fd, bytes, bytes.length) === 0) return true;
  const name = lastErrorName();
  if (name === "EALREADY" || name === "EINPROGRESS") return false;
  throw systemError(`connect to ${address}:${port}`, name);
}

function bindForeign(fd: number, namespaceFd: number | undefined, address: string): boolean {
  return foreignPorts.choose(namespaceFd, address, (port) => {
    const bytes = encoded(address, port);
    if (libc().bind(fd, bytes, bytes.length) === 0) return true;
    const name = lastErrorName();
    if (name !== "EADDRINUSE") throw systemError(`bind to ${address}`, name);
    return false;
  });
}

function setTransparent(fd: number, family: IpFamily): void {
  optionBytes.writeInt32LE(1);
  const [level, name] =
    family === "ipv6" ? [linux.levelIpv6, linux.ipv6Transparent] : [linux.levelIp, linux.ipTransparent];
  const result = libc().setsockopt(fd, level, name, optionBytes, optionBytes.length);
  check("IP_TRANSPARENT, which needs the capability NET_ADMIN", result);
}

function setOption(fd: number, level: number, name: number, value: number): void {
  optionBytes.writeInt32LE(value);
  if (libc().setsockopt(fd, level, name, optionBytes, optionBytes.length) < 0)
    throw systemError(`setsockopt ${level}/${name}`, lastErrorName());
}

function bindTo(fd: number, address: string, port: number): void {
  const bytes = encoded(address, port);
  if (libc().bind(fd, bytes, bytes.length) < 0) throw systemError(`bind to ${address}:${port}`, lastErrorName());
}

function closedAfter(fd: number, operation: string): Error {
  const error = systemError(operation, lastErrorName());
  libc().close(fd);
  return error;
}

/**
 * IPv4 addresses as strings, by their bytes. V8 finds and compares strings fastest if equal ones are the same object.
 */
const ipv4Texts = moduleCache<number, string>("ipv4-texts", 4096);

function decodeSocketAddress(bytes: Buffer): SocketAddress {
  const port = bytes.readUInt16BE(2);
  if (bytes.readUInt16LE(0) === linux.familyIpv6) return { address: bytesToIp(bytes.subarray(8, 24)), port };
  const number = bytes.readInt32BE(4);
  let address = ipv4Texts.get(number);
  if (address === undefined) {
    address = bytesToIp(bytes.subarray(4, 8));
    ipv4Texts.set(number, address);
  }
  return { address, port };
}

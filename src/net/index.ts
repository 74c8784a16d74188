// Connections as byte streams, TLS, and the kernel's network: namespaces, netlink, and sockets that carry descriptors.
export type {
  ByteListener,
  ByteStream,
  ByteStreamHandler,
  ConnectOptions,
  SecureStream,
  SocketAddress,
} from "./byte-stream.ts";
export { forgetTranslatedDatagrams, forgetUnansweredConnects } from "./conntrack-netlink.ts";
export {
  forgetAddresses,
  inLaterTurn,
  readInSmallChunks,
  readLargeMessages,
  withHeaderInFront,
  writeAll,
  writeFramed,
  writesInPlace,
} from "./handle-stream.ts";
export { ChunkQueue } from "./read-buffer.ts";
export { check, libc, watchReadable } from "./libc.ts";
export {
  bindUdpInNamespace,
  closeDescriptor,
  duplicateDescriptor,
  hasUnreadInput,
  listenTcpInNamespace,
  mayMarkSockets,
  openTcpSocketInNamespace,
  originalDestination,
  peerOf,
  socketName,
} from "./namespace-socket.ts";
export { inNamespace, NetworkNamespace, ownNamespaceFd, shareOwnNamespace } from "./network-namespace.ts";
export { NftNetlink } from "./nft-netlink.ts";
export { isSystemCode, isTlsFault, networkError } from "./node-error.ts";
export { peek, unread } from "./peek.ts";
export { RouteNetlink } from "./route-netlink.ts";
export { streamDuplex } from "./stream-duplex.ts";
// The encodings that callers of the netlink sockets need.
export {
  action,
  bytesToIp,
  ipFamilyOf,
  ipToBytes,
  match,
  NftTransaction,
  type NftExpression,
  type NftKey,
  type NftKeyType,
  type NftRulePart,
  type NftTableEditor,
  type RouteSpec,
  type RuleSpec,
} from "../wire/netlink/index.ts";
export { SeqpacketConnection, SeqpacketServer, type SeqpacketMessage } from "./seqpacket.ts";
export { adoptTcp, connectTcp, listenTcp, type ListenOptions } from "./byte-path.ts";
export { keepAlive, type TcpKeepalive } from "./tcp-keepalive.ts";
export { describeRecords, secureClient, secureServer } from "./tls.ts";
export { isTlsCurve, negotiationUnder, TlsContext, type PeerGuard, type TlsContextSource } from "./tls-context.ts";

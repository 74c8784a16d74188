// The byte path of connections, TLS, and the network of the kernel: namespaces, netlink, descriptors over sockets.
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
  withHeaderInFront,
  writeAll,
  writesInPlace,
} from "./handle-stream.ts";
export { ChunkQueue } from "./read-buffer.ts";
export { check, libc, watchReadable, type Libc } from "./libc.ts";
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
  type ConnectingSocketOptions,
  type NamespaceListenOptions,
  type NamespaceSocketOptions,
} from "./namespace-socket.ts";
export { inNamespace, NetworkNamespace, ownNamespaceFd, shareOwnNamespace } from "./network-namespace.ts";
export { NftNetlink } from "./nft-netlink.ts";
export { isSystemCode, networkError } from "./node-error.ts";
export { peek, unread, type Peeked, type PeekOptions } from "./peek.ts";
export { RouteNetlink } from "./route-netlink.ts";
export { streamDuplex } from "./stream-duplex.ts";
// The codecs that users of the netlink sockets need.
export {
  action,
  bytesToIp,
  ipFamilyOf,
  ipToBytes,
  match,
  NftTransaction,
  type AddressInfo,
  type BridgeLink,
  type IpFamily,
  type IpPrefix,
  type LinkChange,
  type LinkInfo,
  type NftBaseChain,
  type NftEndpoint,
  type NftExpression,
  type NftFamily,
  type NftKey,
  type NftKeyType,
  type NftProtocol,
  type NftRulePart,
  type NftTableEditor,
  type NftVerdict,
  type RouteSpec,
  type RuleSpec,
  type VethLink,
} from "../wire/netlink/index.ts";
export { SeqpacketConnection, SeqpacketServer, type SeqpacketHandler, type SeqpacketMessage } from "./seqpacket.ts";
export { adoptTcp, connectTcp, listenTcp, type BytePath, type ListenOptions } from "./byte-path.ts";
export { keepAlive, type TcpKeepalive } from "./tcp-keepalive.ts";
export {
  isTlsFault,
  secureClient,
  secureServer,
  type RefusePeer,
  type SecureClientOptions,
  type SecureServerOptions,
} from "./tls.ts";
export {
  isTlsCurve,
  negotiationUnder,
  TlsContext,
  type PeerGuard,
  type SecureVersion,
  type TlsContextOptions,
  type TlsContextSource,
} from "./tls-context.ts";

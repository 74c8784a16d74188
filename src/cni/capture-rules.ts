import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { userError } from "../base/index.ts";
import {
  action,
  forgetTranslatedDatagrams,
  inNamespace,
  match,
  NftNetlink,
  NftTransaction,
  type NftRulePart,
} from "../net/index.ts";
import { addMarkRoutes } from "./mark-routes.ts";

/** The ports on which a ztunnel listens inside each pod. They are the same as in upstream Istio. */
export const ztunnelPorts = { outbound: 15001, inboundPlaintext: 15006, inboundHbone: 15008, dns: 15053 } as const;

/** The source address that the node's rules give to probes. The rules in a pod recognize probes by this address. */
export const probeSource = { ipv4: "169.254.7.127", ipv6: "fd16:9254:7127:1337:ffff:ffff:ffff:ffff" } as const;

/**
 * `ztunnelMark` is the mark of ztunnel's packets. `connectionMark` is the mark of connections that ztunnel opens to the
 * application from another host's address.
 */
const ztunnelMark = { value: 0x539, mask: 0xfff } as const;
const connectionMark = { value: 0x111, mask: 0xfff } as const;
const dnsPort = 53;
/** The routes that return the application's packets to ztunnel, although their destination is a client's address. */
const returnRoutes = {
  mark: connectionMark.value,
  markMask: connectionMark.mask,
  table: 100,
  priority: 32_764,
} as const;

const natTable = "istio-ambient-nat";
const mangleTable = "istio-ambient-mangle";
const guardTable = "istio-ambient-guard";
/** The mark of connections whose first packet in this namespace was not a SYN. */
const midwayMark = { value: 0x112, mask: 0xfff } as const;

export interface CaptureOptions {
  /** Whether UDP and TCP to port 53 are redirected to ztunnel. */
  readonly dns: boolean;
  /** Whether inbound plain text bypasses ztunnel. */
  readonly bypassInbound: boolean;
  /** Whether IPv6 is captured too. */
  readonly ipv6: boolean;
}

const loopback = ["127.0.0.1", "::1"] as const;
/**
 * Match only the start of connections, because connections from before the enrolment must continue unchanged. The pod's
 * namespace has not tracked such a connection. The kernel would take its next packet for the first one of a new
 * connection, and redirect it to a socket that does not know the connection.
 */
const isStart = match.connectionStart();
const notFromZtunnel = match.mark(ztunnelMark.value, ztunnelMark.mask, { not: true });

/**
 * Redirects a pod's traffic to the ztunnel that listens inside the pod: inbound TCP to 15006, outbound TCP to 15001,
 * DNS to 15053. Exempts ztunnel's own traffic and the node's probes. Replaces earlier rules in one transaction.
 */
export function installCapture(namespaceFd: number, options: CaptureOptions): void {
  addMarkRoutes(returnRoutes, namespaceFd);
  const transaction = new NftTransaction();
  writeMangle(transaction);
  writeNat(transaction, options);
  if (options.bypassInbound) removeGuard(transaction);
  else writeGuard(transaction, options);
  using nft = new NftNetlink(namespaceFd);
  nft.commit(transaction);
}

/**
 * Adds the guard rules to the capture of an earlier agent, which may not have installed them. Changes no rule that
 * {@link captureDigest} covers.
 */
export function guardCapture(namespaceFd: number, options: Pick<CaptureOptions, "ipv6">): void {
  const transaction = new NftTransaction();
  writeGuard(transaction, options);
  using nft = new NftNetlink(namespaceFd);
  nft.commit(transaction);
}

/**
 * Lets traffic bypass ztunnel again. It keeps the empty nat chains, the marks and the routes, without which the kernel
 * would no longer translate open connections.
 */
export function removeCapture(namespaceFd: number): void {
  using nft = new NftNetlink(namespaceFd);
  if (!nft.hasTable("inet", natTable)) return;
  const transaction = new NftTransaction();
  addNatChains(transaction);
  removeGuard(transaction);
  nft.commit(transaction);
}

/**
 * Lets the pod's DNS queries reach its name server after its ztunnel has stopped answering. Call this after {@link
 * removeCapture}, when earlier queries have been answered. Otherwise, for up to two minutes, the kernel would redirect
 * queries of a new socket that has the port of an earlier query.
 */
export function forgetCapturedDns(namespaceFd: number): void {
  forgetTranslatedDatagrams(namespaceFd, { destinationPort: dnsPort, translatedPort: ztunnelPorts.dns });
}

/** Whether {@link installCapture} was called for this namespace, even if the rules have been removed since. */
export function hasCapture(namespaceFd: number): boolean {
  using nft = new NftNetlink(namespaceFd);
  return nft.hasTable("inet", natTable);
}

/**
 * The maximum number of rules that {@link captureDigest} reads. The agent writes far fewer. A pod with NET_ADMIN may
 * add any number of rules to the tables.
 */
const maxReadRules = 1_024;

/**
 * Returns the SHA-256, in hexadecimal, of the rules in the kernel that decide where packets go. All versions of the
 * agent write these rules in the same way. Throws if there are more than {@link maxReadRules} rules.
 */
export function captureDigest(namespaceFd: number): string {
  using nft = new NftNetlink(namespaceFd);
  const hash = createHash("sha256");
  let read = 0;
  for (const table of [natTable, mangleTable]) {
    for (const { chain, expressions } of nft.rules("inet", table)) {
      read += 1;
      if (read > maxReadRules)
        throw userError("pod-namespace", `the tables of a pod's capture have more than ${maxReadRules} rules`);
      hash.update(`${table} ${chain} ${expressions.length} `).update(expressions);
    }
  }
  return hash.digest("hex");
}

/**
 * Lets connections that wait in a closing socket's queue move to another socket of the same port. It writes the setting
 * through the host's /proc, because a container's /proc/sys is read-only.
 */
export function allowConnectionMigration(namespaceFd: number, hostProc: string): void {
  inNamespace(namespaceFd, () => writeFileSync(join(hostProc, "sys/net/ipv4/tcp_migrate_req"), "1"));
}

function addNatChains(transaction: NftTransaction): ReturnType<NftTransaction["table"]> {
  return transaction
    .table("inet", natTable)
    .replace()
    .addChain("prerouting", { type: "nat", hook: "prerouting", priority: -100 })
    .addChain("output", { type: "nat", hook: "output", priority: -100 });
}

function writeNat(transaction: NftTransaction, options: CaptureOptions): void {
  const table = addNatChains(transaction);
  const inbound = (...parts: readonly NftRulePart[]): unknown => table.addRule("prerouting", ...parts);
  const outbound = (...parts: readonly NftRulePart[]): unknown => table.addRule("output", ...parts);
  const tcp = match.protocol("tcp");
  if (!options.ipv6) for (const rule of [inbound, outbound]) rule(match.family("ipv6"), action.accept());
  for (const address of Object.values(probeSource)) inbound(tcp, match.source(address), action.accept());
  for (const address of options.bypassInbound ? [] : loopback) {
    inbound(
      match.destination(address, { not: true }),
      tcp,
      isStart,
      match.destinationPort(ztunnelPorts.inboundHbone, { not: true }),
      notFromZtunnel,
      action.redirect(ztunnelPorts.inboundPlaintext),
    );
  }
  for (const address of Object.values(probeSource)) outbound(tcp, match.destination(address), action.accept());
  if (options.dns) {
    outbound(
      match.outputInterface("lo", { not: true }),
      notFromZtunnel,
      match.protocol("udp"),
      match.destinationPort(dnsPort),
      action.redirect(ztunnelPorts.dns),
    );
    for (const address of loopback) {
      outbound(
        match.destination(address, { not: true }),
        tcp,
        isStart,
        match.destinationPort(dnsPort),
        notFromZtunnel,
        action.redirect(ztunnelPorts.dns),
      );
    }
  }
  outbound(tcp, match.mark(connectionMark.value, connectionMark.mask), action.accept());
  // Let connections of the pod to its own address bypass the mesh.
  for (const address of loopback)
    outbound(match.outputInterface("lo"), match.destination(address, { not: true }), action.accept());
  for (const address of loopback) {
    outbound(
      match.destination(address, { not: true }),
      tcp,
      isStart,
      notFromZtunnel,
      action.redirect(ztunnelPorts.outbound),
    );
  }
}

/**
 * Marks the connections that ztunnel opens to the application from the client's address, so that the application's
 * responses return to ztunnel.
 */
function writeMangle(transaction: NftTransaction): void {
  transaction
    .table("inet", mangleTable)
    .replace()
    .addChain("prerouting", { type: "filter", hook: "prerouting", priority: -150 })
    .addChain("output", { type: "route", hook: "output", priority: -150 })
    .addRule(
      "prerouting",
      match.mark(ztunnelMark.value, ztunnelMark.mask),
      action.setConnectionMark(connectionMark.value, connectionMark.mask),
    )
    .addRule("output", match.connectionMark(connectionMark.value, connectionMark.mask), action.restoreMark());
}

/**
 * Drops SYN packets that would bypass the redirect. An older agent that removes the capture does not remove these
 * rules, so they must do no harm without redirects.
 *
 * `nat` rules see only the first packet of a connection. A client with raw sockets could send another packet first: an
 * ACK with an option that the kernel ignores is not redirected, and no socket answers it. A SYN of the same connection
 * would then go directly to the application. Such a client could also make the pod send a packet that belongs to no
 * connection. The kernel would then take the client's SYN for an answer to that packet.
 */
function writeGuard(transaction: NftTransaction, { ipv6 }: Pick<CaptureOptions, "ipv6">): void {
  const table = transaction
    .table("inet", guardTable)
    .replace()
    .addChain("prerouting", { type: "filter", hook: "prerouting", priority: -90 })
    .addChain("input", { type: "filter", hook: "input", priority: 0 });
  const tcp = match.protocol("tcp");
  table.addRule(
    "prerouting",
    tcp,
    match.connectionState("new"),
    match.connectionStart({ not: true }),
    action.setConnectionMark(midwayMark.value, midwayMark.mask),
  );
  const input = (...parts: readonly NftRulePart[]): unknown => table.addRule("input", ...parts);
  if (!ipv6) input(match.family("ipv6"), action.accept());
  input(match.inputInterface("lo"), action.accept());
  input(tcp, isStart, match.connectionStatus("dnat"), action.accept());
  input(tcp, match.destinationPort(ztunnelPorts.inboundHbone), action.accept());
  for (const address of Object.values(probeSource)) input(tcp, match.source(address), action.accept());
  input(tcp, isStart, match.connectionMark(midwayMark.value, midwayMark.mask), action.drop());
  input(tcp, isStart, match.connectionState("new"), action.accept());
  input(tcp, isStart, action.drop());
}

function removeGuard(transaction: NftTransaction): void {
  transaction.table("inet", guardTable).create().delete();
}
